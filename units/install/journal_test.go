package install

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// withJournal is the app with a journal of its own.
func withJournal(version int, size uint64) units.App {
	a := app(version)
	a.Logs = units.Logs{Namespace: true, MaxSize: size}
	return a
}

// TestJournalConf: the file for journald is written, changed, put back and removed with the units, in its own place.
func TestJournalConf(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	before := tree(t, root)
	conf := filepath.Join(root, "etc/systemd/journald@clusterctl-shop.conf")

	first := withJournal(1, 100<<20)
	p := planned(t, s, first)
	if !p.NeedsJournal() {
		t.Error("the journal is new, and the plan does not say so")
	}
	for _, c := range p.Changes {
		if (c.Path == conf) == c.Unit() && c.Path != s.ConfigPath("shop") {
			t.Errorf("%s: unit %v", c.Path, c.Unit())
		}
	}
	apply(t, s, first)
	if got := string(read(t, conf)); !strings.Contains(got, "\nSystemMaxUse=100M\n") {
		t.Errorf("%s", got)
	}
	after := tree(t, root)

	// Another limit alone is no reason for systemd to reload.
	second := withJournal(1, 200<<20)
	if p := planned(t, s, second); !p.NeedsJournal() || p.NeedsReload() {
		t.Errorf("journal %v, reload %v", p.NeedsJournal(), p.NeedsReload())
	}
	tx, err := s.Begin(planned(t, s, second))
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
	same(t, "after a rollback", tree(t, root), after)

	apply(t, s, second)
	r, err := s.Revisions("shop")
	if err != nil || len(r) != 1 {
		t.Fatal(r, err)
	}
	if data, ok := r[0].Units.Get(units.Name("shop").JournalConf()); !ok || !strings.Contains(string(data), "100M") {
		t.Errorf("the revision has %q", data)
	}
	// Without a journal of its own the file goes.
	apply(t, s, app(1))
	if _, err := os.Lstat(conf); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	apply(t, s, first)
	apply(t, s, nothing())
	same(t, "uninstall leaves nothing", tree(t, root), before)
}

// A file of somebody else in the place is left alone.
func TestJournalConfForeign(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	write(t, filepath.Join(root, "etc/systemd/journald@clusterctl-shop.conf"), "[Journal]\nSystemMaxUse=1G\n")
	set, source := render(t, withJournal(1, 0))
	_, err := s.Plan("shop", set, source)
	var foreign *ForeignError
	if !errors.As(err, &foreign) || !strings.HasSuffix(foreign.Path, "/etc/systemd/journald@clusterctl-shop.conf") {
		t.Errorf("%v", err)
	}
	// Nor does an app without one mind it.
	apply(t, s, app(1))
	s.Journal = ""
	if _, err := s.Plan("shop", set, source); err == nil {
		t.Error("there is no place for the file, and it is no error")
	}
}
