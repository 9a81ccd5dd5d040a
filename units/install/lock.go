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
)

// Owner is the process that holds a lock. All its fields are zero when it has only just taken it.
type Owner struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// Lock is the lock of one app. It ends with the process at the latest.
type Lock struct {
	store Store
	app   units.Name
	file  *os.File
}

// Lock takes the lock of an app. When another process holds it, onWait is called once with its owner, and Lock waits
// until it is free or ctx is done. Then it removes what a killed command left that is of no use; an intent stays, for
// Pending. After an error nothing is held. A process that may not lock gets an error that is fs.ErrPermission.
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
		err = tryFlock(f)
		if errors.Is(err, errLocked) {
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
		// Whoever held it may have removed the file: then the next process makes another, and both would hold a lock.
		if !s.isCurrent(app, f) {
			_ = f.Close()
			continue
		}
		l := &Lock{store: s, app: app, file: f}
		// It needs space, and the lock does not: on a full /run the app has to be stopped all the same.
		_ = l.sign()
		// The next Begin says so if this cannot be done.
		_ = s.sweep(app)
		// A probe that was killed has left it.
		_ = s.RemoveProbeValues(app)
		return l, nil
	}
}

// waitFlock waits for the lock in a goroutine, since nothing interrupts flock(2). When ctx ends first, the goroutine
// stays until the lock is free, and gives it up at once. After an error the file is closed, or will be.
func waitFlock(ctx context.Context, f *os.File) error {
	got := make(chan error, 1)
	go func() { got <- flock(f) }()
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

// openLock opens the lock file, never through a link, and makes it and its directory as needed.
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
			return d.foreign(name, info)
		}
		if f, err = d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, keptMode); err != nil {
			return pathError("locking", d.join(name), err)
		}
		return nil
	})
	return f, err
}

// isCurrent says whether the open file is still the one with the name.
func (s Store) isCurrent(app units.Name, f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(filepath.Join(s.Run, string(app)+contract.LockSuffix))
	return err == nil && os.SameFile(mine, there)
}

// sign writes the owner into the file, for the commands that wait.
func (l *Lock) sign() error {
	data, err := json.Marshal(Owner{PID: os.Getpid(), Command: l.store.Command, Since: l.store.now().UTC()})
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return pathError("locking", l.file.Name(), err)
	}
	if _, err := l.file.WriteAt(append(data, '\n'), 0); err != nil {
		return pathError("locking", l.file.Name(), err)
	}
	return nil
}

// readOwner reads who holds the lock. What is not complete is left for later: the file is written after it is locked.
func readOwner(f *os.File) Owner {
	const most = 1 << 20
	data, err := io.ReadAll(io.NewSectionReader(f, 0, most))
	var o Owner
	if err != nil || json.Unmarshal(data, &o) != nil {
		return Owner{}
	}
	return o
}

// Unlock gives the lock up. A second call does nothing. After an error the lock is free all the same.
func (l *Lock) Unlock() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	// Those that come next must not read this owner while they find the file locked by one that has not signed yet.
	_ = f.Truncate(0)
	if err := f.Close(); err != nil {
		return pathError("unlocking", f.Name(), err)
	}
	return nil
}

// Remove gives the lock up and removes its file, for an app that is not installed any more. A process that waits for the
// lock gets it all the same. After an error the lock is free, and the file may be there still.
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
	// The lock is held until the name is gone, so the file that is removed is the one that is locked.
	err = d.remove(string(l.app) + contract.LockSuffix)
	return errors.Join(err, l.Unlock(), l.store.removeEmptyBase(l.store.Run, dirMode))
}
