package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// UnsafeStateError is a state directory that other users may change. That is unsafe, because the next command carries out an
// intent in it as root.
type UnsafeStateError struct {
	Path string
	// Owner is the user ID of the directory's owner, or -1 if only the mode is wrong.
	Owner int
}

// Error names the directory.
func (e *UnsafeStateError) Error() string {
	if e.Owner >= 0 {
		return fmt.Sprintf("%q belongs to the user %d", e.Path, e.Owner)
	}
	return fmt.Sprintf("%q is writable by other users", e.Path)
}

// Hint returns the command that fixes the directory.
func (e *UnsafeStateError) Hint() string {
	return fmt.Sprintf("check its contents, then: sudo chown root: %[1]s && sudo chmod 700 %[1]s", text.Shell(e.Path))
}

// private makes an open state directory accessible only to its owner, because earlier sources in it may contain secrets.
func (d *dir) private() error {
	info, err := d.root.Stat(".")
	if err != nil {
		return pathError("reading", d.path, err)
	}
	if err := checkState(d.path, info); err != nil {
		return err
	}
	if info.Mode().Perm()&^stateMode == 0 {
		return nil
	}
	d.step("chmod %s", d.path)
	if err := d.root.Chmod(".", stateMode); err != nil {
		return pathError("restricting", d.path, err)
	}
	return nil
}

// checkState returns an error if a directory belongs to another user, or if other users can write to it.
func checkState(name string, info fs.FileInfo) error {
	if owner, foreign := foreignOwner(info); foreign {
		return &UnsafeStateError{Path: name, Owner: owner}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &UnsafeStateError{Path: name, Owner: -1}
	}
	return nil
}

// safeState checks the directories above an intent before the intent is read.
func (s Store) safeState(app units.Name) error {
	for _, name := range []string{s.State, s.stateDir(app), filepath.Join(s.stateDir(app), pendingDir)} {
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return pathError("reading", name, err)
		}
		if err := checkState(name, info); err != nil {
			return err
		}
	}
	return nil
}
