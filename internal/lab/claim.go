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

// claim creates a directory under run, and next to it a lock file that stays locked while
// the owner lives. Before that, it removes the directories of dead owners.
func claim(run, prefix string) (dir string, lock *os.File, err error) {
	if err := os.MkdirAll(run, 0o755); err != nil {
		return "", nil, err
	}
	all, err := image.Lock(filepath.Join(run, ".lock"), unix.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	defer all.Close()
	if err := reap(run); err != nil {
		return "", nil, fmt.Errorf("removing what an earlier test left: %w", err)
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

// reap removes the directories of dead machines. The caller holds the lock on run. The
// lock file of a machine is created before its directory and removed after it, and is
// locked by its keeper (or by the process that is about to start the keeper). So the
// machine is dead if its lock file can be locked.
func reap(run string) error {
	locks, err := filepath.Glob(filepath.Join(run, "lab-*.lock"))
	if err != nil {
		return err
	}
	for _, path := range locks {
		lock, err := image.LockExisting(path, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
			continue // the machine lives, or has removed its files in the meantime
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

// discard removes the files and cgroups of a machine whose keeper has ended. The
// namespaces of the machine have ended with the keeper.
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
