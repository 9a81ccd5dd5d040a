//go:build linux

package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestStateIsPrivate checks that the next apply removes the permission of other users to read a state directory. If other
// users can write to the directory, Pending does not read an intent in it.
func TestStateIsPrivate(t *testing.T) {
	s := storeAt(newRoot(t))
	app := units.Name("shop")
	dirs := []string{s.State, s.stateDir(app)}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := s.Begin(Plan{App: app})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != stateMode {
			t.Errorf("%s: got the mode %v, error %v, want %o", d, info.Mode(), err, stateMode)
		}
	}
	if _, found, err := s.Pending(app); err != nil || !found {
		t.Errorf("Pending: got %v, error %v, want an intent", found, err)
	}
	var unsafe *UnsafeStateError
	for _, d := range append(dirs, filepath.Join(s.stateDir(app), pendingDir)) {
		for _, change := range []func() error{
			func() error { return os.Chmod(d, 0o770) },
			func() error { return os.Chmod(d, 0o707) },
			func() error { return os.Chown(d, 65534, -1) },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Pending(app); !errors.As(err, &unsafe) || unsafe.Path != d || unsafe.Hint() == "" {
				t.Errorf("Pending if other users may write to %s: got %v, want an UnsafeStateError", d, err)
			}
			if err := errors.Join(os.Chown(d, os.Getuid(), -1), os.Chmod(d, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.stateDir(app)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory after Rollback: got %v, want fs.ErrNotExist", err)
	}
}
