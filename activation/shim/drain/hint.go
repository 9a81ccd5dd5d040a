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
