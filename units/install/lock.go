package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
	"golang.org/x/sys/unix"
)

// Owner is the process that holds a lock. All fields are zero if the process has not written them yet.
type Owner struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// Lock is the lock of one app. When the process ends, the kernel releases the lock.
type Lock struct {
	store Store
	app   units.Name
	file  *os.File
}

// Lock takes the lock of an app. If another process holds the lock, Lock calls onWait once with the owner, and waits until
// the lock is free or ctx ends. Lock then removes files that killed commands left, except an intent, which [Store.Pending]
// needs. After an error, the lock is not held. Without permission, the error is fs.ErrPermission.
func (s Store) Lock(ctx context.Context, app units.Name, onWait func(Owner)) (*Lock, error) {
	if _, err := units.ParseName(string(app)); err != nil {
		return nil, err
	}
	waited := false
	for {
		f, err := s.openLock(app)
		if err != nil {
			return nil, err
		}
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			if !waited && onWait != nil {
				onWait(readOwner(f))
			}
			waited = true
			if err := waitFlock(ctx, f); err != nil {
				return nil, err
			}
		} else if err != nil {
			_ = f.Close()
			return nil, pathError("locking", f.Name(), err)
		}
		// The previous holder may have removed the lock file. Another process can then create and lock a new file, and both
		// processes would hold a lock.
		if !s.isCurrent(app, f) {
			_ = f.Close()
			continue
		}
		l := &Lock{store: s, app: app, file: f}
		l.sign()
		// Ignore the error, because the next Begin calls removeLeftovers again and returns the error.
		_ = s.removeLeftovers(app)
		// Remove the values file of a killed probe.
		_ = s.RemoveProbeValues(app)
		return l, nil
	}
}

// waitFlock waits for the lock in a goroutine, because flock(2) cannot be interrupted. If ctx ends first, the goroutine
// continues until it gets the lock, and then releases the lock immediately. If waitFlock returns an error, the file is
// closed, either by waitFlock or later by the goroutine.
func waitFlock(ctx context.Context, f *os.File) error {
	got := make(chan error, 1)
	go func() { got <- flock(f, unix.LOCK_EX) }()
	select {
	case err := <-got:
		if err != nil {
			_ = f.Close()
			return pathError("locking", f.Name(), err)
		}
		return nil
	case <-ctx.Done():
		go func() {
			<-got
			_ = f.Close()
		}()
		return fmt.Errorf("waiting for the lock %q: %w", f.Name(), context.Cause(ctx))
	}
}

// openLock opens the lock file. openLock creates the file and its directory if they are missing, and does not follow a
// symbolic link.
func (s Store) openLock(app units.Name) (*os.File, error) {
	var f *os.File
	err := retry(func() error {
		d, err := s.ensure(s.Run, dirMode)
		if err != nil {
			return err
		}
		defer d.close()
		name := string(app) + contract.LockSuffix
		if info, err := d.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
			return d.wrongType(name, info)
		}
		if f, err = d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, stateFileMode); err != nil {
			return pathError("locking", d.join(name), err)
		}
		return nil
	})
	return f, err
}

// isCurrent reports whether the path of the lock file still leads to the open file.
func (s Store) isCurrent(app units.Name, f *os.File) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	current, err := os.Lstat(filepath.Join(s.Run, string(app)+contract.LockSuffix))
	return err == nil && os.SameFile(opened, current)
}

// The method sign writes the owner to the lock file, for other commands that wait, and ignores errors, because writing needs
// disk space, and an app must be stoppable even if /run is full.
func (l *Lock) sign() {
	data, err := json.Marshal(Owner{PID: os.Getpid(), Command: l.store.Command, Since: l.store.now().UTC()})
	if err == nil && l.file.Truncate(0) == nil {
		_, _ = l.file.WriteAt(append(data, '\n'), 0)
	}
}

// readOwner reads the owner from the lock file. The holder writes the file only after it has taken the lock, so for
// incomplete contents, readOwner returns a zero Owner.
func readOwner(f *os.File) Owner {
	const most = 1 << 20
	data, err := io.ReadAll(io.NewSectionReader(f, 0, most))
	var o Owner
	if err != nil || json.Unmarshal(data, &o) != nil {
		return Owner{}
	}
	return o
}

// Unlock releases the lock, even if it returns an error. A second call does nothing.
func (l *Lock) Unlock() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	// Remove the owner, because the next holder writes its own data only after it has taken the lock.
	_ = f.Truncate(0)
	if err := f.Close(); err != nil {
		return pathError("unlocking", f.Name(), err)
	}
	return nil
}

// Remove releases the lock and removes its file, for an app that is no longer installed. A waiting process then gets the
// lock. After an error, the lock is free, but the file may still exist.
func (l *Lock) Remove() error {
	if l.file == nil {
		return nil
	}
	d, err := l.store.open(l.store.Run)
	if errors.Is(err, fs.ErrNotExist) {
		return l.Unlock()
	}
	if err != nil {
		return errors.Join(err, l.Unlock())
	}
	defer d.close()
	// Remove the file while the lock is held. After the release, the path could lead to a file that another process has
	// created and locked.
	err = d.remove(string(l.app) + contract.LockSuffix)
	return errors.Join(err, l.Unlock(), l.store.removeEmptyBase(l.store.Run, dirMode))
}

// flock takes the lock. Without unix.LOCK_NB in the flags, flock waits until the lock is free. The lock belongs to the open
// file. The kernel releases the lock when the last file descriptor is closed, at the latest when the process ends.
func flock(f *os.File, flags int) error {
	for {
		if err := unix.Flock(int(f.Fd()), flags); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
