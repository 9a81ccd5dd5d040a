package deb

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/packaging/apppkg"
)

// createFiles creates a directory with the files of an app, and returns its path.
func createFiles(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"server.js", ".env", "lib/x.js"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("//"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPackageReadsWhatItSaw replaces a file after the collection, for example with a link. The package must not contain
// the new content.
func TestPackageReadsWhatItSaw(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(elsewhere, []byte("root:"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(dir, p string) error{
		"a link":          func(_, p string) error { return errors.Join(os.Remove(p), os.Symlink(elsewhere, p)) },
		"a link inside":   func(_, p string) error { return errors.Join(os.Remove(p), os.Symlink("../.env", p)) },
		"a FIFO":          func(_, p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) },
		"another file":    func(_, p string) error { return errors.Join(os.Rename(p, p+"~"), os.WriteFile(p, []byte("//"), 0o600)) },
		"other content":   func(_, p string) error { return os.WriteFile(p, []byte("#!"), 0o600) },
		"a linked parent": func(dir, p string) error { return relink(filepath.Dir(p), filepath.Dir(elsewhere)) },
		"a linked top":    func(dir, _ string) error { return relink(dir, filepath.Dir(elsewhere)) },
		"no change":       nil,
	} {
		dir := createFiles(t)
		c, err := collect(t.Context(), []apppkg.Root{{From: dir, To: "/x"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(dir, "lib/x.js")
		i := slices.IndexFunc(c.files, func(f apppkg.File) bool { return f.Path == p })
		if change != nil {
			if err := change(dir, p); err != nil {
				t.Fatal(err)
			}
		}
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		_, err = writeFile(root, c.files[i], c.content)
		// The collection reads from the directory that it has opened, also if the path of the directory is now a link.
		if same := change == nil || name == "a linked top"; (err == nil) != same {
			t.Errorf("%s: got error %v, want success: %v", name, err, same)
		}
		c.close()
	}
}

// relink renames a directory, and creates a link with its name.
func relink(dir, to string) error { return errors.Join(os.Rename(dir, dir+"~"), os.Symlink(to, dir)) }

// TestPackageWritesWhereItOpened replaces the temporary directory during the build. The build must not write files to
// another directory.
func TestPackageWritesWhereItOpened(t *testing.T) {
	out, victim := t.TempDir(), t.TempDir()
	m := Maker{LookPath: exec.LookPath, Getenv: func(string) string { return "" }}
	control := "Package: shop\nVersion: 1\nArchitecture: all\nMaintainer: A B <a@b.example>\nDescription: x\n"
	p := apppkg.Package{
		Files:   []apppkg.File{{Path: "/usr/lib/a", Mode: 0o644, Data: []byte("a")}, {Path: "/usr/lib/b", Mode: 0o644, Data: []byte("b")}},
		Control: []apppkg.File{{Path: "control", Mode: 0o644, Data: []byte(control)}},
	}
	swapped := false
	open := func(f apppkg.File) (io.ReadCloser, error) {
		if !swapped {
			tmp, err := filepath.Glob(filepath.Join(out, ".clusterctl-package-*"))
			if err != nil || len(tmp) != 1 {
				t.Fatal(tmp, err)
			}
			if err := errors.Join(os.Rename(tmp[0], filepath.Join(out, "away")), os.Mkdir(tmp[0], 0o755),
				os.Symlink(victim, filepath.Join(tmp[0], treeName))); err != nil {
				t.Fatal(err)
			}
			swapped = true
		}
		return io.NopCloser(bytes.NewReader(f.Data)), nil
	}
	// The build must fail, because it cannot rename the package.
	if err := m.build(t.Context(), p, time.Unix(1, 0), open, filepath.Join(out, "shop.deb")); err == nil || !swapped {
		t.Errorf("got error %v, want an error; directory replaced: %v", err, swapped)
	}
	if in, err := os.ReadDir(victim); err != nil || len(in) > 0 {
		t.Errorf("the other directory contains %v, error %v, want no files", in, err)
	}
	if list, err := exec.Command("dpkg-deb", "-c", filepath.Join(out, "away", "x.deb")).CombinedOutput(); err != nil ||
		!strings.Contains(string(list), "./usr/lib/b\n") {
		t.Errorf("listing the package: error %v, want the file /usr/lib/b in:\n%s", err, list)
	}
}
