//go:build !linux

package sd

import (
	"errors"
	"os"
	"time"
)

// System returns an environment in which nothing was passed and nobody wants to
// be notified: there is no systemd, and the same program runs without it.
func System() Env {
	return Env{
		Lookup:      func(string) (string, bool) { return "", false },
		Unset:       os.Unsetenv,
		Pid:         os.Getpid,
		PidfdID:     func() (uint64, bool) { return 0, false },
		Probe:       func(int) (Kind, string, error) { return Other, "", errors.ErrUnsupported },
		CloseOnExec: func(int) error { return errors.ErrUnsupported },
	}
}

// Dup is never reached, since nothing is ever passed.
func Dup(int) (int, error) { return -1, errors.ErrUnsupported }

// MonotonicUsec returns some clock in microseconds; nobody reads it.
func MonotonicUsec() (int64, error) { return time.Now().UnixMicro(), nil }

func send(string, string) error { return errors.ErrUnsupported }
