//go:build !linux

package sd

import (
	"errors"
	"os"
	"time"
)

// System returns an environment without systemd: nothing was passed, and messages have no
// receiver.
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

// Dup is never called, because nothing is passed.
func (Passed) Dup() (*os.File, error) { return nil, errors.ErrUnsupported }

// MonotonicUsec returns the time in microseconds. No systemd reads it.
func MonotonicUsec() (int64, error) { return time.Now().UnixMicro(), nil }

func send(string, string) error { return errors.ErrUnsupported }
