//go:build !linux

package sd

import (
	"errors"
	"os"
	"time"
)

// System returns an Env in which no descriptor was passed and Notify sends nothing,
// because this system has no systemd.
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

// Dup is never called, because no descriptor is passed.
func (Passed) Dup() (*os.File, error) { return nil, errors.ErrUnsupported }

// MonotonicUsec returns the time in microseconds. Without systemd, the value is not sent.
func MonotonicUsec() (int64, error) { return time.Now().UnixMicro(), nil }

func send(string, string) error { return errors.ErrUnsupported }
