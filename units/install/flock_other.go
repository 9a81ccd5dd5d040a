//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package install

import (
	"errors"
	"os"
)

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked")

// tryFlock fails: nothing is installed where there is no systemd.
func tryFlock(*os.File) error { return errors.ErrUnsupported }

func flock(*os.File) error { return errors.ErrUnsupported }
