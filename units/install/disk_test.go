//go:build linux

package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/units"
)

// mounted makes a file system of so many pages at a path, with the contents that the path has.
func mounted(t *testing.T, path string, pages int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("mounting takes root: sudo make test")
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	keep := t.TempDir()
	copyTree(t, path, keep)
	mode := fs.FileMode(0o755)
	if strings.HasSuffix(path, storeAt("/").State) {
		mode = stateMode // a wider one would be closed, which is a change
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=%o", pages*os.Getpagesize(), mode)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	copyTree(t, keep, path)
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// stuff fills a file system but for so many pages, and gives what empties it again.
func stuff(t *testing.T, dir string, leave int) (release func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, os.Getpagesize())
	size := int64(0)
	for {
		n, err := f.Write(page)
		size += int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(max(size-int64(leave*len(page)), 0)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that is full, after any number of pages, is an error before anything has changed: in the unit directory as in
// the state.
func TestFullDisk(t *testing.T) {
	for _, place := range []string{"etc", "var/lib/clusterctl"} {
		for _, c := range []struct {
			name     string
			old, new units.App
		}{{"install", nothing(), app(2)}, {"update", app(2), app(3)}, {"uninstall", app(2), nothing()}} {
			t.Run(place+" "+c.name, func(t *testing.T) {
				root := newRoot(t)
				s := storeAt(root)
				apply(t, s, c.old)
				full := filepath.Join(root, place)
				mounted(t, full, 128)
				before := tree(t, root)
				failed := 0
				for leave := 0; ; leave++ {
					if leave > 100 {
						t.Fatal("it never succeeds")
					}
					plan := planned(t, s, c.new)
					release := stuff(t, full, leave)
					tx, err := s.Begin(plan)
					if err == nil {
						err = tx.Write()
					}
					if err == nil {
						// Going back and being final take no space.
						stuffed := filepath.Join(full, "filler2")
						_ = os.WriteFile(stuffed, make([]byte, 200*os.Getpagesize()), 0o600)
						if leave%2 == 0 {
							err = tx.Rollback()
						} else {
							err = tx.Commit()
						}
						if err != nil {
							t.Fatal(err)
						}
						_ = os.Remove(stuffed)
						release()
						if leave%2 == 0 {
							same(t, "after the rollback", tree(t, root), before)
							continue
						}
						intact(t, s, c.new)
						break
					}
					if !errors.Is(err, syscall.ENOSPC) {
						t.Fatalf("%d pages: %v", leave, err)
					}
					failed++
					release()
					same(t, fmt.Sprintf("%d pages", leave), tree(t, root), before)
				}
				t.Logf("failed %d times", failed)
				if failed == 0 && (place != "etc" || c.name != "uninstall") {
					t.Error("the disk was never full")
				}
			})
		}
	}
}

// A unit directory that cannot be written to is an error, and nothing has changed.
func TestReadOnly(t *testing.T) {
	for _, place := range []string{"etc/systemd/system", "etc/clusterctl", "var/lib/clusterctl"} {
		t.Run(place, func(t *testing.T) {
			root := newRoot(t)
			s := storeAt(root)
			apply(t, s, app(1))
			apply(t, s, app(2))
			path := filepath.Join(root, place)
			mounted(t, path, 128)
			if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			before := tree(t, root)
			for _, next := range []units.App{app(3), nothing()} {
				tx, err := s.Begin(planned(t, s, next))
				if err == nil {
					err = tx.Write()
				}
				if !errors.Is(err, syscall.EROFS) {
					t.Errorf("%v", err)
				}
				same(t, "afterwards", tree(t, root), before)
			}
		})
	}
}
