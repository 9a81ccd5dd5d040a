//go:build linux

package install

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// tb has the methods that testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// storeAt returns a store with a constant clock. All directories of the store are below root.
func storeAt(root string) Store {
	return Store{
		Units: filepath.Join(root, "etc/systemd/system"), Config: filepath.Join(root, "etc/clusterctl"),
		Journal: filepath.Join(root, "etc/systemd"),
		State:   filepath.Join(root, "var/lib/clusterctl"), Run: filepath.Join(root, "run/clusterctl"),
		RuntimeUnits: filepath.Join(root, "run/systemd/system"),
		Command:      "clusterctl test",
		Now:          func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) },
	}
}

// newRoot returns a new directory with files of an administrator. If possible, the directory is in memory, because fsync is
// fast there. A kill leaves the same files in memory as on a disk.
func newRoot(t testing.TB) string {
	t.Helper()
	root, err := os.MkdirTemp(memory(), "clusterctl-install-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	writeAdminFiles(t, root)
	return root
}

func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func writeAdminFiles(t tb, root string) {
	t.Helper()
	for name, text := range map[string]string{
		"etc/systemd/system/sshd.service":                    "[Service]\nExecStart=/usr/sbin/sshd -D\n",
		"etc/systemd/system/shop@.service.d/override.conf":   "[Service]\nNice=5\n",
		"etc/systemd/system/multi-user.target.wants/.keep":   "",
		"etc/systemd/system/shop-keeper.service":             "[Service]\nExecStart=/bin/true\n",
		"etc/systemd/system/shopper.service.d/override.conf": "[Service]\nNice=6\n",
		"var/lib/other/state":                                "x",
		"run/other":                                          "x",
	} {
		write(t, filepath.Join(root, name), text)
	}
}

func write(t tb, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The function tree returns a directory as text: one line per file, with its mode and contents. The text omits the locks and
// the process IDs in intents.
func tree(t tb, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == "run/clusterctl" {
			return fs.SkipDir
		}
		fmt.Fprintf(&b, "%s %v", rel, info.Mode())
		switch info.Mode().Type() {
		case 0:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if filepath.Base(path) == intentFile {
				data = pidLine.ReplaceAll(data, nil)
			}
			if len(data) > 10_000 {
				data = []byte(digest(data))
			}
			fmt.Fprintf(&b, " %q", data)
		case fs.ModeSymlink:
			target, _ := os.Readlink(path)
			b.WriteString(" -> " + target)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var pidLine = regexp.MustCompile(`"pid": \d+,`)

func wantEqual(t tb, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
	}
}

// The function app returns a version of the app shop. Versions differ in their number of instances, listeners and arguments.
func app(version int) units.App {
	a := units.App{
		Name:    "shop",
		Command: []string{"/usr/bin/node", fmt.Sprintf("/srv/shop/v%d.js", version)},
		RunAs:   units.RunAs{User: "shop"},
	}
	a.Instances.N = version
	if version != 1 {
		// Version 1 has no variables. All other versions have different values.
		a.Env = []units.EnvVar{{Name: "VERSION", Value: fmt.Sprint(version)},
			{Name: "PASSWORD", Value: fmt.Sprintf("a \"%d\"\n$x ", version/2)}}
	}
	for i := range version % 3 {
		l, err := units.ParseListener(fmt.Sprintf("n%d=80%d%d", i, version%10, i))
		if err != nil {
			panic(err)
		}
		a.Listen = append(a.Listen, l)
	}
	return a
}

// scaledApp returns version 2 of the app with n instances.
func scaledApp(n int) units.App {
	a := app(2)
	a.Instances.N = n
	return a
}

// The function render returns the units and the source of an app. The paths in the units do not depend on the root of the
// test.
func render(t tb, a units.App) (units.Set, []byte) {
	t.Helper()
	set, err := units.Render(a, units.Target{
		Systemd: units.OldestSystemd, Sizing: a.Instances.Resolve(units.CPUs{Affinity: 2}), Source: System().ConfigPath(a.Name),
		Shim:   units.DefaultShim,
		Values: System().ValuesPath(a.Name),
	})
	if err != nil {
		t.Fatal(err)
	}
	return set, config.EncodeNames(a)
}

// makePlan returns the plan for an app. If the app has no command, this is the plan for an uninstall.
func makePlan(t tb, s Store, a units.App) Plan {
	t.Helper()
	var set units.Set
	var source []byte
	if a.Command != nil {
		set, source = render(t, a)
	}
	p, err := s.Plan("shop", set, source)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The function apply calls Begin, Write and Commit.
func apply(t tb, s Store, a units.App) {
	t.Helper()
	tx, err := s.Begin(makePlan(t, s, a))
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

// noApp returns the zero App. For this App, planned returns an uninstall.
func noApp() units.App { return units.App{} }

// checkInstalled checks that the files on disk are the files of the app, and that no apply is in progress.
func checkInstalled(t tb, s Store, a units.App) {
	t.Helper()
	p := makePlan(t, s, a)
	if p.Changed() {
		for _, c := range p.Changes {
			if c.Op != Keep {
				t.Fatalf("%s: a second plan must not %s this file (-want +got):\n%s", c.Path, c.Op, cmp.Diff(string(c.New), string(c.Old)))
			}
		}
	}
	for _, d := range []string{s.Units, s.Config, filepath.Join(s.State, "shop")} {
		_ = filepath.WalkDir(d, func(path string, e fs.DirEntry, err error) error {
			base := filepath.Base(path)
			if strings.HasSuffix(base, "clusterctl-new") || strings.HasSuffix(base, "clusterctl-old") ||
				base == pendingDir || base == preparingDir || base == trashDir {
				t.Fatalf("%s was not removed", path)
			}
			return nil
		})
	}
}

// copyTree copies a directory tree, with its modes and symbolic links.
func copyTree(t tb, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		info, err := e.Info()
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		switch info.Mode().Type() {
		case fs.ModeDir:
			if err := os.MkdirAll(dst, 0o755); err != nil {
				return err
			}
			return os.Chmod(dst, info.Mode().Perm())
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, dst)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, data, 0o600); err != nil {
			return err
		}
		return os.Chmod(dst, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t tb, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(data)
}
