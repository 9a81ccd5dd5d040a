package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/image"
)

// createDir creates a directory in the directory run, and a lock file with the suffix ".lock" next to it. The lock file is
// locked as long as a process has the returned file open. First, createDir removes directories whose lock file is not
// locked.
func createDir(run, prefix string) (dir string, lock *os.File, err error) {
	if err := os.MkdirAll(run, 0o755); err != nil {
		return "", nil, err
	}
	all, err := image.Lock(filepath.Join(run, ".lock"), unix.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	defer all.Close()
	if err := removeDead(run); err != nil {
		return "", nil, fmt.Errorf("cannot remove the files of an earlier test: %w", err)
	}
	f, err := os.CreateTemp(run, prefix+"*.lock")
	if err != nil {
		return "", nil, err
	}
	if err := f.Close(); err != nil {
		return "", nil, err
	}
	if lock, err = image.Lock(f.Name(), unix.LOCK_EX); err != nil {
		return "", nil, err
	}
	dir = strings.TrimSuffix(f.Name(), ".lock")
	if err := os.Mkdir(dir, 0o755); err != nil {
		lock.Close()
		return "", nil, err
	}
	return dir, lock, nil
}

// removeDead removes the directories of machines that have ended. The caller has locked run/.lock. As long as a machine
// runs, its keeper, or the process that starts the keeper, has locked its lock file. So if removeDead can lock the file, the
// machine has ended. A lock file is created before its directory and removed after it.
func removeDead(run string) error {
	locks, err := filepath.Glob(filepath.Join(run, "lab-*.lock"))
	if err != nil {
		return err
	}
	for _, path := range locks {
		lock, err := image.LockExisting(path, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
			continue // the machine runs, or has just removed its files
		}
		if err != nil {
			return err
		}
		err = discard(strings.TrimSuffix(path, ".lock"))
		lock.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// The function discard removes the files and cgroups of a machine whose keeper has ended. The namespaces of the machine have
// ended with the keeper.
func discard(dir string) error {
	c, err := findCgroups(filepath.Base(dir))
	if err != nil {
		return err
	}
	if err := c.destroy(); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return removeLock(dir)
}

func removeLock(dir string) error {
	if err := os.Remove(dir + ".lock"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
