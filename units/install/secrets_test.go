//go:build linux

package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestSecretFiles checks that each secret is a file that only root can read. An encrypted secret replaces a plain secret of
// the same name, and a plain secret replaces an encrypted one. The directory is removed with the last secret.
func TestSecretFiles(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	before := tree(t, root)
	set := func(name, value string, encrypted bool) {
		t.Helper()
		if err := s.SetSecret("shop", name, []byte(value), encrypted); err != nil {
			t.Fatal(err)
		}
	}
	names := func() string {
		t.Helper()
		all, err := s.Secrets("shop")
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, one := range all {
			word := one.Name
			if one.Encrypted {
				word += "+"
			}
			words = append(words, word)
		}
		return strings.Join(words, " ")
	}
	set("B", "plain", false)
	set("A.x", "sealed", true)
	set("A.x-1", "other", true)
	if got := names(); got != "A.x+ A.x-1+ B" {
		t.Errorf("got the secrets %q, want \"A.x+ A.x-1+ B\"", got)
	}
	set("B", "sealed now", true)
	set("A.x", "plain now", false)
	if got := names(); got != "A.x A.x-1+ B+" {
		t.Errorf("got the secrets %q, want \"A.x A.x-1+ B+\"", got)
	}
	dir := filepath.Join(s.Config, "shop.secrets")
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "B.cred"): 0o600, filepath.Join(dir, "A.x"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: got %v, error %v, want the mode %v", path, info, err, mode)
		}
	}
	for _, bad := range []string{"", ".", "..", "../x", "a/b", "a:b", "-a", ".a", "a b", "ü", "x.cred", strings.Repeat("x", 200)} {
		if s.SetSecret("shop", bad, nil, false) == nil || s.RemoveSecret("shop", bad) == nil {
			t.Errorf("the invalid name %q: got no error, want one", bad)
		}
	}
	for _, name := range []string{"B", "A.x", "A.x-1", "not-there"} {
		if err := s.RemoveSecret("shop", name); err != nil {
			t.Error(err)
		}
	}
	wantEqual(t, "the files without secrets", tree(t, root), before)
	set("B", "x", false)
	if err := s.RemoveSecrets("shop"); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != "" {
		t.Errorf("got the secrets %q, want none", got)
	}
}

// TestSecretsPlan checks that a change of only the secrets writes one file and makes no revision. An uninstall removes the
// drop-in.
func TestSecretsPlan(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	clean := tree(t, root)
	apply(t, s, app(2))
	before := tree(t, root)
	with := func(secrets ...units.Secret) Plan {
		t.Helper()
		_, source := render(t, app(3))
		a := app(3)
		set, err := units.Render(a, units.Target{
			Systemd: 252, Sizing: units.Sizing{Want: 3, Listed: 3}, Source: System().ConfigPath(a.Name),
			Values: System().ValuesPath(a.Name), Secrets: secrets,
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Plan("shop", set, source)
		if err != nil {
			t.Fatal(err)
		}
		return p.Only(a.Name.SecretsDropIn())
	}
	change := func(p Plan) {
		t.Helper()
		tx, err := s.Begin(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Write(); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	change(with(units.Secret{Name: "A", Path: "/etc/clusterctl/shop.secrets/A"}))
	if text := string(read(t, filepath.Join(s.Units, "shop@.service.d/50-secrets.conf"))); !strings.Contains(text,
		"\nLoadCredential=A:/etc/clusterctl/shop.secrets/A\n") {
		t.Errorf("got the drop-in without LoadCredential=A:\n%s", text)
	}
	if r, err := s.Revisions("shop"); err != nil || len(r) != 0 {
		t.Errorf("got %d revisions, error %v, want none", len(r), err)
	}
	if a, err := s.Load("shop"); err != nil || a.Instances.N != 2 {
		t.Errorf("Load: got %+v, error %v, want two instances", a, err)
	}
	change(with())
	// The directory of the drop-in remains, because it also contains a drop-in of the administrator.
	wantEqual(t, "the files without secrets", tree(t, root), before)
	change(with(units.Secret{Name: "A", Path: "/etc/clusterctl/shop.secrets/A"}))
	apply(t, s, noApp())
	wantEqual(t, "the files after the uninstall", tree(t, root), clean)
}
