package seccomp

import (
	"errors"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errors of Install and Check. Each error needs a different hint.
var (
	// ErrKernel means that the kernel is older than 5.9 or built without CONFIG_SECCOMP_FILTER, or that the package has no
	// filter for the architecture.
	ErrKernel = errors.New("this kernel has no seccomp user notification with descriptor passing (it needs Linux 5.9 or " +
		"later on amd64 or arm64)")
	// ErrBusy means that a container runtime, snapd or another program has already installed a filter with notifications.
	// The kernel allows one such filter for each process.
	ErrBusy = errors.New("another seccomp listener is already installed on this process")
	// ErrForbidden means that seccomp(2) is refused, for example by SystemCallFilter=.
	ErrForbidden = errors.New("seccomp(2) is not permitted here")
)

// Check returns an error if adoption is not possible on this kernel. The process stays unchanged.
func Check() error {
	if _, ok := Native(); !ok {
		return ErrKernel
	}
	var sizes [3]uint16 // struct seccomp_notif_sizes: notif, resp, data
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_NOTIF_SIZES, 0, uintptr(unsafe.Pointer(&sizes)))
	if e != 0 {
		return refusal(e)
	}
	if sizes[0] > maxSize || sizes[1] != uint16(unsafe.Sizeof(response{})) {
		return ErrKernel
	}
	// SECCOMP_IOCTL_NOTIF_ADDFD is new in 5.9. A test would need an installed filter, so compare the version of the kernel.
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	if !atLeast(unix.ByteSliceToString(u.Release[:]), 5, 9) {
		return ErrKernel
	}
	return nil
}

// Install installs the filter on the calling thread, and returns the descriptor for its notifications, which is
// close-on-exec. The caller must have called runtime.LockOSThread, and must call execve(2) on this thread. The other threads
// have no filter, but execve(2) ends all other threads.
//
// killable sets SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19): only a fatal signal interrupts a call that the notifier
// has received. On a kernel without this flag, Install omits the flag. Without CAP_SYS_ADMIN, Install sets no_new_privs, as
// seccomp(2) requires.
func Install(prog []unix.SockFilter, killable bool) (FD, error) {
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if killable {
		flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	fd, e := install(prog, flags)
	// The kernel checks the flags before the privileges, so EINVAL for the flags comes before EACCES for the privileges.
	if e == unix.EINVAL && killable {
		flags &^= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
		fd, e = install(prog, flags)
	}
	if e == unix.EACCES {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return -1, err
		}
		fd, e = install(prog, flags)
	}
	if e != 0 {
		return -1, refusal(e)
	}
	return FD(fd), nil
}

func install(prog []unix.SockFilter, flags uintptr) (int, unix.Errno) {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	fd, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fprog)))
	return int(fd), e
}

// refusal returns the error for an errno of seccomp(2).
func refusal(e unix.Errno) error {
	switch e {
	case unix.ENOSYS, unix.EINVAL:
		return ErrKernel
	case unix.EBUSY:
		return ErrBusy
	case unix.EPERM, unix.EACCES:
		return ErrForbidden
	}
	return e
}

// atLeast reports whether a kernel release, such as "5.10.0-8-amd64", is at least the version major.minor.
func atLeast(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	a, _ := strconv.Atoi(first)
	b, _ := strconv.Atoi(second)
	return a > major || a == major && b >= minor
}
