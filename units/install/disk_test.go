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

// mountTmpfs mounts a tmpfs with the given number of pages at a path, and copies the files of the path to it.
func mountTmpfs(t *testing.T, path string, pages int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("mounting a file system requires root: sudo make test")
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	keep := t.TempDir()
	copyTree(t, path, keep)
	mode := fs.FileMode(0o755)
	if strings.HasSuffix(path, storeAt("/").State) {
		mode = stateMode // otherwise the store would change the mode, and the trees would differ
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

// fillDisk fills a file system until only the given number of pages is free. fillDisk returns a function that frees the
// space.
func fillDisk(t *testing.T, dir string, leave int) (release func()) {
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

// TestFullDisk fills the disk until only a few pages are free. The apply must then fail before it changes a file. The test
// fills the directory of the units and the state directory.
func TestFullDisk(t *testing.T) {
	for _, place := range []string{"etc", "var/lib/clusterctl"} {
		for _, c := range []struct {
			name     string
			old, new units.App
		}{{"install", noApp(), app(2)}, {"update", app(2), app(3)}, {"uninstall", app(2), noApp()}} {
			t.Run(place+" "+c.name, func(t *testing.T) {
				root := newRoot(t)
				s := storeAt(root)
				apply(t, s, c.old)
				full := filepath.Join(root, place)
				mountTmpfs(t, full, 128)
				before := tree(t, root)
				failed := 0
				for leave := 0; ; leave++ {
					if leave > 100 {
						t.Fatal("the apply never succeeds")
					}
					plan := makePlan(t, s, c.new)
					release := fillDisk(t, full, leave)
					tx, err := s.Begin(plan)
					if err == nil {
						err = tx.Write()
					}
					if err == nil {
						// Fill the disk completely, because Rollback and Commit must work on a full disk.
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
							wantEqual(t, "the files after the rollback", tree(t, root), before)
							continue
						}
						checkInstalled(t, s, c.new)
						break
					}
					if !errors.Is(err, syscall.ENOSPC) {
						t.Fatalf("%d free pages: got %v, want ENOSPC", leave, err)
					}
					failed++
					release()
					wantEqual(t, fmt.Sprintf("the files after a failure with %d free pages", leave), tree(t, root), before)
				}
				t.Logf("the apply failed %d times", failed)
				if failed == 0 && (place != "etc" || c.name != "uninstall") {
					t.Error("the disk was never full")
				}
			})
		}
	}
}

// TestReadOnly checks that an apply on a read-only file system fails and changes nothing.
func TestReadOnly(t *testing.T) {
	for _, place := range []string{"etc/systemd/system", "etc/clusterctl", "var/lib/clusterctl"} {
		t.Run(place, func(t *testing.T) {
			root := newRoot(t)
			s := storeAt(root)
			apply(t, s, app(1))
			apply(t, s, app(2))
			path := filepath.Join(root, place)
			mountTmpfs(t, path, 128)
			if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			before := tree(t, root)
			for _, next := range []units.App{app(3), noApp()} {
				tx, err := s.Begin(makePlan(t, s, next))
				if err == nil {
					err = tx.Write()
				}
				if !errors.Is(err, syscall.EROFS) {
					t.Errorf("got %v, want EROFS", err)
				}
				wantEqual(t, "the files after the failed apply", tree(t, root), before)
			}
		})
	}
}
