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

// UnsafeStateError is a directory of the state that somebody else may change. The next command does what an intent in it
// says, as root.
type UnsafeStateError struct {
	Path string
	// Owner is the user that the directory belongs to, or -1 when only its mode is wrong.
	Owner int
}

// Error names the directory.
func (e *UnsafeStateError) Error() string {
	if e.Owner >= 0 {
		return fmt.Sprintf("%q belongs to the user %d", e.Path, e.Owner)
	}
	return fmt.Sprintf("%q is writable by other users", e.Path)
}

// Hint is the command that fixes the directory.
func (e *UnsafeStateError) Hint() string {
	return fmt.Sprintf("look at what is in it, then: sudo chown root: %[1]s && sudo chmod 700 %[1]s", text.Shell(e.Path))
}

// private makes an open directory of the state accessible to its owner alone: earlier sources in it may hold secrets.
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

// checkState refuses a directory that is not of this user, or that others can write to.
func checkState(name string, info fs.FileInfo) error {
	if owner, foreign := foreignOwner(info); foreign {
		return &UnsafeStateError{Path: name, Owner: owner}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &UnsafeStateError{Path: name, Owner: -1}
	}
	return nil
}

// safeState checks the directories above an intent before it is read.
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
