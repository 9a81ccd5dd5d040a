package backoff

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Prepare makes the directory of the app. It removes the runtime directory of the instance's user, or the link to it, that
// earlier versions made there.
func Prepare(instance string) error {
	if err := MakeDirectory(instance); err != nil {
		return err
	}
	if _, err := os.Lstat(instance); err != nil {
		return nil
	}
	return os.RemoveAll(instance)
}

// MakeDirectory makes the directory of the app, "/run/clusterctl/shop" for the instance "/run/clusterctl/shop/1", where only
// root writes and everybody reads.
func MakeDirectory(instance string) error {
	unix.Umask(0o022) // not the unit's UMask=, which may close the files to readers
	dir := filepath.Dir(instance)
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := unix.Mkdir(d, 0o755); err != nil && err != unix.EEXIST {
			return errors.New("making " + d + ": " + err.Error())
		}
	}
	// For a dynamic user, systemd 247 has made the directory with the UMask= of the unit.
	if err := unix.Chmod(dir, 0o755); err != nil {
		return errors.New("opening " + dir + ": " + err.Error())
	}
	return nil
}
