package probe

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
)

// pipe is the descriptor of the child's end of the socket pair.
const pipe = 3

// results returns the possible results of installing the filter. The child sends the index of its result as one byte. With
// index 0 (no error), the child also sends the notification descriptor of the filter.
func results() []error {
	return []error{nil, seccomp.ErrKernel, seccomp.ErrBusy, seccomp.ErrForbidden, errors.New("installing the filter failed")}
}

// Child installs the filter on the calling thread, sends the notification descriptor to the prober and executes the
// program. The caller must have called runtime.LockOSThread. Child returns only if it fails.
func Child(argv, env []string) error {
	unix.CloseOnExec(pipe)
	machine, ok := seccomp.Native()
	if !ok {
		return sendError(seccomp.ErrKernel)
	}
	filter := append(seccomp.Joins(machine), seccomp.Program(machine, seccomp.Calls{Accept: true, MinAddrLen: 2, Paths: anyPath()})...)
	fd, err := seccomp.Install(filter, false)
	if err != nil {
		return sendError(err)
	}
	if err := unix.Sendmsg(pipe, []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return errors.New("sending the notification descriptor to the prober: " + err.Error())
	}
	return syscall.Exec(argv[0], argv, env)
}

// sendError sends the index of err in results, or the last index for any other error, and returns err.
func sendError(err error) error {
	i := len(results()) - 1
	for j, result := range results() {
		if errors.Is(err, result) {
			i = j
		}
	}
	_, _ = unix.Write(pipe, []byte{byte(i)})
	return err
}
