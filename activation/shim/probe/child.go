package probe

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
)

// pipe is the number of the child's end of the socket pair.
const pipe = 3

// The first byte that the child sends before it executes the program: the listener comes with it, or the reason why there is
// none.
const (
	gotListener byte = iota
	noKernel
	isBusy
	isForbidden
	otherError
)

func refusals(b byte) error {
	switch b {
	case gotListener:
		return nil
	case noKernel:
		return seccomp.ErrKernel
	case isBusy:
		return seccomp.ErrBusy
	case isForbidden:
		return seccomp.ErrForbidden
	}
	return errors.New("installing the filter failed")
}

// Child installs the filter on the calling thread, which must be locked, sends the listener to the prober and becomes the
// program. It only returns if it fails.
func Child(argv, env []string) error {
	unix.CloseOnExec(pipe)
	machine, ok := seccomp.Native()
	if !ok {
		return sendResult(noKernel, seccomp.ErrKernel)
	}
	filter := append(seccomp.Joins(machine), seccomp.Program(machine, seccomp.Calls{Accept: true, MinAddrLen: 2, Paths: anyPath()})...)
	fd, err := seccomp.Install(filter, false)
	switch {
	case errors.Is(err, seccomp.ErrKernel):
		return sendResult(noKernel, err)
	case errors.Is(err, seccomp.ErrBusy):
		return sendResult(isBusy, err)
	case errors.Is(err, seccomp.ErrForbidden):
		return sendResult(isForbidden, err)
	case err != nil:
		return sendResult(otherError, err)
	}
	if err := unix.Sendmsg(pipe, []byte{gotListener}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return errors.New("sending the seccomp listener to the prober: " + err.Error())
	}
	return syscall.Exec(argv[0], argv, env)
}

func sendResult(b byte, err error) error {
	_, _ = unix.Write(pipe, []byte{b})
	return err
}
