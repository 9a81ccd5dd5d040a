//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package install

import (
	"errors"
	"os"
)

// errLocked means that another process holds the lock.
var errLocked = errors.New("locked")

// tryFlock fails, because clusterctl installs apps only on systems with systemd.
func tryFlock(*os.File) error { return errors.ErrUnsupported }

func flock(*os.File) error { return errors.ErrUnsupported }
