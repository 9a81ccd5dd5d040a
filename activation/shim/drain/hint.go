package drain

import (
	"errors"

	"golang.org/x/sys/unix"
)

// hint explains the refusals that have a known cause.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (not permitted: drain needs root, ExecStop=+, or in a container a runtime that allows pidfd_getfd)"
	case errors.Is(err, unix.ENOSYS):
		return " (this kernel has no pidfd_getfd, which needs Linux 5.6, or the container's filter hides it)"
	}
	return ""
}

// uringHint is the hint for a program that accepts by io_uring: no other process can take its listener away.
const uringHint = "; hint: the default sandbox refuses io_uring, and programs go back to epoll: SystemCallFilter=~io_uring_setup"
