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

// claim makes a directory under run, and beside it a locked file that says
// that its owner lives, and removes what owners left that do not.
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

// reap runs under the lock on run. A machine's lock file is made before its
// directory and removed after it, and locked by its living keeper (or by the
// process about to start one). So one that can be locked marks a dead one.
func reap(run string) error {
	locks, err := filepath.Glob(filepath.Join(run, "lab-*.lock"))
	if err != nil {
		return err
	}
	for _, path := range locks {
		lock, err := image.LockExisting(path, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
			continue // it lives, or has removed all of it by itself since
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

// discard removes what is left of a machine whose keeper is gone, and with it
// its namespaces.
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
