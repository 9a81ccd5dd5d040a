//go:build linux

package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

func TestApply(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	before := tree(t, root)

	p := makePlan(t, s, app(2))
	if !p.Changed() || !p.NeedsReload() || p.Uninstall {
		t.Errorf("got the first plan %+v, want an install that needs a reload", p)
	}
	var paths []string
	for _, c := range p.Changes {
		if c.Op != Create || c.Old != nil || c.New == nil {
			t.Errorf("%s: the operation is %s, want create", c.Path, c.Op)
		}
		paths = append(paths, strings.TrimPrefix(c.Path, root))
	}
	want := []string{
		"/etc/systemd/system/clusterctl-shop.slice", "/etc/systemd/system/shop-n1.socket", "/etc/clusterctl/shop.env",
		"/etc/systemd/system/shop.service",
		"/etc/systemd/system/shop.service.d/50-instances.conf", "/etc/systemd/system/shop.socket", "/etc/systemd/system/shop@.service",
		"/etc/clusterctl/shop.yaml",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	wantEqual(t, "the files after Plan", tree(t, root), before)

	apply(t, s, app(2))
	checkInstalled(t, s, app(2))
	if got, err := s.Load("shop"); err != nil || string(config.Encode(got)) != string(config.Encode(app(2))) {
		t.Errorf("Load: got %+v, error %v, want %+v", got, err, app(2))
	}
	if apps, err := s.Apps(); err != nil || !slices.Equal(apps, []units.Name{"shop"}) {
		t.Errorf("Apps: got %v, error %v, want shop", apps, err)
	}
	if r, err := s.Revisions("shop"); err != nil || len(r) != 0 {
		t.Errorf("after the first install: got the revisions %v, error %v, want none", r, err)
	}

	if p := makePlan(t, s, app(2)); p.Changed() || p.NeedsReload() || len(p.Changes) != len(want) {
		t.Errorf("got the second plan %+v, want no changes", p)
	}
	apply(t, s, app(2))
	if r, err := s.Revisions("shop"); err != nil || len(r) != 0 {
		t.Errorf("after an apply without a change: got the revisions %v, error %v, want none", r, err)
	}

	apply(t, s, noApp())
	wantEqual(t, "the files after the uninstall", tree(t, root), before)
	if _, err := s.Load("shop"); !errors.As(err, new(*NotInstalledError)) {
		t.Errorf("Load after the uninstall: got %v, want a NotInstalledError", err)
	}
	if apps, err := s.Apps(); err != nil || apps != nil {
		t.Errorf("Apps after the uninstall: got %v, error %v, want none", apps, err)
	}
}

// TestScale checks that a change of the number of instances changes only the drop-in and the source. The other files keep
// their modification time and their inode.
func TestScale(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	apply(t, s, scaledApp(2))
	info := func(name string) os.FileInfo {
		i, err := os.Stat(filepath.Join(s.Units, name))
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	before := info("shop@.service")
	var changed []string
	for _, c := range makePlan(t, s, scaledApp(4)).Changes {
		if c.Op != Keep {
			changed = append(changed, c.Op.String()+" "+filepath.Base(c.Path))
		}
	}
	if want := []string{"update 50-instances.conf", "update shop.yaml"}; !slices.Equal(changed, want) {
		t.Errorf("got the changes %v, want %v", changed, want)
	}
	apply(t, s, scaledApp(4))
	checkInstalled(t, s, scaledApp(4))
	if after := info("shop@.service"); !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("the apply wrote a file that did not change")
	}
}

func TestRevisions(t *testing.T) {
	s := storeAt(newRoot(t))
	const last = 15
	for v := 1; v <= last; v++ {
		s.Command = "clusterctl scale " + string(rune('a'+v))
		apply(t, s, app(v))
	}
	got, err := s.Revisions("shop")
	if err != nil || len(got) != KeepRevisions {
		t.Fatalf("got %d revisions, error %v, want %d", len(got), err, KeepRevisions)
	}
	for n, r := range got {
		// Revision N contains the files before change N+1. The first install makes no revision, because there were no files
		// before.
		v := last - KeepRevisions + n
		set, source := render(t, app(v))
		if r.Number != v || string(r.Config) != string(source) || r.By != "clusterctl scale "+string(rune('a'+v+1)) ||
			!r.Until.Equal(s.now()) {
			t.Errorf("got the revision %+v, want version %d", r, v)
		}
		values, _ := set.Get("shop.env")
		if string(r.Values) != string(values) {
			t.Errorf("revision %d: got the values %q, want %q", v, r.Values, values)
		}
		set = slices.DeleteFunc(set, func(f units.File) bool { return f.Path == "shop.env" })
		if diff := cmp.Diff(set, r.Units); diff != "" {
			t.Errorf("revision %d: units (-want +got):\n%s", v, diff)
		}
		if a, err := r.App("shop"); err != nil || a.Instances.N != v || !slices.Equal(a.Env, app(v).Env) {
			t.Errorf("got the app %+v of revision %d, error %v, want %+v", a, v, err, app(v))
		}
	}
	if _, err := os.Stat(filepath.Join(s.State, "shop", revisionsDir, "14", "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v for the new contents of a revision, want fs.ErrNotExist", err)
	}
	// The contents of the oldest revision can be applied again.
	old, err := got[0].App("shop")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, old)
	checkInstalled(t, s, app(got[0].Number))
}

// TestRollback checks that Rollback after Write restores the old files. The restored files must be newer than before, so
// that systemd sets NeedDaemonReload.
func TestRollback(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new units.App
	}{{"install", noApp(), app(2)}, {"update", app(2), app(3)}, {"fewer instances", app(2), app(1)}, {"scale", scaledApp(2), scaledApp(5)},
		{"uninstall", app(2), noApp()}} {
		t.Run(c.name, func(t *testing.T) {
			root := newRoot(t)
			s := storeAt(root)
			apply(t, s, c.old)
			before := tree(t, root)
			s.Now = nil
			past := time.Now().Add(-time.Hour)
			for _, change := range makePlan(t, s, c.new).Changes {
				if change.Old != nil {
					if err := os.Chtimes(change.Path, past, past); err != nil {
						t.Fatal(err)
					}
				}
			}
			plan := makePlan(t, s, c.new)
			tx, err := s.Begin(plan)
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.Write(); err != nil {
				t.Fatal(err)
			}
			written := time.Now().Add(-time.Minute)
			for range 2 {
				if err := tx.Rollback(); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Errorf("Commit after Rollback: %v", err)
			}
			wantEqual(t, "the files after the rollback", tree(t, root), before)
			for _, change := range plan.Changes {
				info, err := os.Stat(change.Path)
				if change.Old == nil {
					continue
				}
				if err != nil || (change.Op != Keep) != info.ModTime().After(written) {
					t.Errorf("%s (%s): got the modification time %v, error %v, want it new unless the file is kept",
						change.Path, change.Op, info.ModTime(), err)
				}
			}
		})
	}
}

// TestAdminDropIn checks that an uninstall keeps the drop-ins of the administrator and their directory.
func TestAdminDropIn(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	write(t, filepath.Join(s.Units, "shop.service.d/override.conf"), "[Unit]\nDescription=mine\n")
	if err := os.Chmod(filepath.Join(s.Units, "shop.service.d"), 0o750); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	apply(t, s, app(1))
	apply(t, s, noApp())
	wantEqual(t, "the files after the uninstall", tree(t, root), before)

	apply(t, s, app(1))
	write(t, filepath.Join(s.Units, "shop.service.d/60-later.conf"), "[Unit]\nDescription=later\n")
	apply(t, s, noApp())
	if got := string(read(t, filepath.Join(s.Units, "shop.service.d/60-later.conf"))); !strings.Contains(got, "later") {
		t.Errorf("got the drop-in %q, want the text \"later\" in it", got)
	}
}

// The pattern quoted matches the contents of a file in the output of tree.
var quoted = regexp.MustCompile(`(?m) ".*"$`)

// TestModes checks that the modes of files do not depend on the umask.
func TestModes(t *testing.T) {
	var trees []string
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		func() {
			root := newRoot(t)
			s := storeAt(root)
			apply(t, s, app(2))
			first := tree(t, root)
			defer syscall.Umask(syscall.Umask(mask))
			apply(t, s, app(3))
			apply(t, s, noApp())
			apply(t, s, app(2))
			wantEqual(t, "the files after an uninstall and an install", tree(t, root), first)
			apply(t, s, app(4))
			trees = append(trees, quoted.ReplaceAllString(tree(t, root), ""))
		}()
	}
	for i, tr := range trees {
		wantEqual(t, "the files with another umask", tr, trees[0])
		for _, line := range []string{"etc/clusterctl drwxr-xr-x\n", "shop.yaml -rw-r--r--", "shop.env -rw-------",
			"shop.service.d drwxr-xr-x\n", "shop@.service -rw-r--r--", "var/lib/clusterctl drwx------\n",
			"var/lib/clusterctl/shop drwx------\n"} {
			if !strings.Contains(tr, line) {
				t.Errorf("umask %d: %q is missing in\n%s", i, line, tr)
			}
		}
	}
}

func TestLoadErrors(t *testing.T) {
	s := storeAt(newRoot(t))
	apply(t, s, app(1))
	write(t, s.ConfigPath("other"), "name: shop\ncommand: [/bin/true]\n")
	write(t, s.ConfigPath("broken"), "name: broken\ncommand: true\ncolour: red\n")
	write(t, s.ConfigPath("two"), "apps: {a: {command: [/a]}, b: {command: [/b]}}\n")
	write(t, filepath.Join(s.Config, "not a name!.yaml"), "")
	write(t, filepath.Join(s.Config, "shop.yaml~"), "")
	if err := os.Symlink("shop.yaml", s.ConfigPath("link")); err != nil {
		t.Fatal(err)
	}
	if apps, err := s.Apps(); err != nil || !slices.Equal(apps, []units.Name{"broken", "link", "other", "shop", "two"}) {
		t.Errorf("Apps: got %v, error %v, want broken, link, other, shop and two", apps, err)
	}
	for name, want := range map[units.Name]string{
		"other":   `other.yaml: name: "shop" does not match the file name, "other"`,
		"broken":  `broken.yaml:2: command: is one text, but must be a list`,
		"two":     `two.yaml: apps: contains 2 apps`,
		"link":    `link.yaml" is a symbolic link to shop.yaml, which clusterctl did not create`,
		"missing": `there is no app "missing"`,
	} {
		if _, err := s.Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestPlanRefusesInvalidArguments(t *testing.T) {
	s := storeAt(newRoot(t))
	set, source := render(t, app(1))
	for name, call := range map[string]func() (Plan, error){
		"no name":                  func() (Plan, error) { return s.Plan("../x", nil, nil) },
		"the units of another app": func() (Plan, error) { return s.Plan("market", set, source) },
		"no source":                func() (Plan, error) { return s.Plan("shop", set, nil) },
		"no units":                 func() (Plan, error) { return s.Plan("shop", nil, source) },
		"a path outside": func() (Plan, error) {
			return s.Plan("shop", units.Set{{Path: "../shop.service", Data: set[1].Data}}, source)
		},
		"no mark": func() (Plan, error) { return s.Plan("shop", units.Set{{Path: "shop.service"}}, source) },
	} {
		if p, err := call(); err == nil {
			t.Errorf("%s: got %+v, want an error", name, p)
		}
	}
}
