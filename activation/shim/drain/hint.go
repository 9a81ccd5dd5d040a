package drain

import (
	"errors"

	"golang.org/x/sys/unix"
)

// hint returns the cause of an error in parentheses, if it is known.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (not permitted: drain needs root (ExecStop=+), and in a container a runtime that allows pidfd_getfd)"
	case errors.Is(err, unix.ENOSYS):
		return " (pidfd_getfd needs Linux 5.6 or later, and a container whose filter allows it)"
	}
	return ""
}

// uringHint is the hint for a program that accepts by io_uring, from which no other process can remove the listener.
const uringHint = "; hint: SystemCallFilter=~io_uring_setup, as in the default sandbox, makes programs use epoll"
