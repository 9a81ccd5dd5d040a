package install

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// withJournal returns a version of the app with a private journal of the given size.
func withJournal(version int, size uint64) units.App {
	a := app(version)
	a.Logs = units.Logs{Namespace: true, MaxSize: size}
	return a
}

// TestJournalConf checks that the configuration of the private journal is written, changed, restored and removed together
// with the units, although it is in another directory.
func TestJournalConf(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	before := tree(t, root)
	conf := filepath.Join(root, "etc/systemd/journald@clusterctl-shop.conf")

	first := withJournal(1, 100<<20)
	p := makePlan(t, s, first)
	if !p.NeedsJournal() {
		t.Error("NeedsJournal: got false for a new journal, want true")
	}
	for _, c := range p.Changes {
		if (c.Path == conf) == c.Unit() && c.Path != s.ConfigPath("shop") {
			t.Errorf("%s: Unit: got %v, want %v", c.Path, c.Unit(), !c.Unit())
		}
	}
	apply(t, s, first)
	if got := string(read(t, conf)); !strings.Contains(got, "\nSystemMaxUse=100M\n") {
		t.Errorf("got the configuration %q, want SystemMaxUse=100M in it", got)
	}
	after := tree(t, root)

	// If only a limit of the journal changes, systemd need not reload.
	second := withJournal(1, 200<<20)
	if p := makePlan(t, s, second); !p.NeedsJournal() || p.NeedsReload() {
		t.Errorf("NeedsJournal: got %v, want true; NeedsReload: got %v, want false", p.NeedsJournal(), p.NeedsReload())
	}
	tx, err := s.Begin(makePlan(t, s, second))
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Write(); err != nil {
		t.Fatal(err)
	}
	pending, found, err := s.Pending("shop")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if err := pending.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the files after the rollback", tree(t, root), after)

	apply(t, s, second)
	r, err := s.Revisions("shop")
	if err != nil || len(r) != 1 {
		t.Fatal(r, err)
	}
	if data, ok := r[0].Units.Get(units.Name("shop").JournalConf()); !ok || !strings.Contains(string(data), "100M") {
		t.Errorf("the configuration in the revision: got %q, want 100M in it", data)
	}
	// An app without a private journal has no journald configuration.
	apply(t, s, app(1))
	if _, err := os.Lstat(conf); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for the configuration, want fs.ErrNotExist", err)
	}
	apply(t, s, first)
	apply(t, s, noApp())
	wantEqual(t, "the files after the uninstall", tree(t, root), before)
}

// TestJournalConfForeign checks that a file of the administrator at the path of the configuration is an error.
func TestJournalConfForeign(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	write(t, filepath.Join(root, "etc/systemd/journald@clusterctl-shop.conf"), "[Journal]\nSystemMaxUse=1G\n")
	set, source := render(t, withJournal(1, 0))
	_, err := s.Plan("shop", set, source)
	var foreign *ForeignError
	if !errors.As(err, &foreign) || !strings.HasSuffix(foreign.Path, "/etc/systemd/journald@clusterctl-shop.conf") {
		t.Errorf("got %v, want a ForeignError for the configuration", err)
	}
	// An app without a private journal can be installed beside this file.
	apply(t, s, app(1))
	s.Journal = ""
	if _, err := s.Plan("shop", set, source); err == nil {
		t.Error("Plan without a directory for the configuration: got no error, want one")
	}
}
