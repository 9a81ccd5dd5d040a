//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package install

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked means that another process holds the lock.
const errLocked = unix.EWOULDBLOCK

// tryFlock takes the lock if it is free.
func tryFlock(f *os.File) error { return flockWith(f, unix.LOCK_EX|unix.LOCK_NB) }

// flock waits for the lock. The lock belongs to the open file, so it ends when the last descriptor of the file is closed, at
// the latest when the process ends.
func flock(f *os.File) error { return flockWith(f, unix.LOCK_EX) }

func flockWith(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
