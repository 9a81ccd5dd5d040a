package seccomp

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Refusals of Install. Each can be told from the others by errors.Is, because
// each is mended in another way.
var (
	// ErrKernel: older than 5.9, or built without CONFIG_SECCOMP_FILTER, or an
	// architecture that we have no filter for.
	ErrKernel = errors.New("this kernel has no seccomp user notification with descriptor passing (it needs Linux 5.9 or " +
		"later on amd64 or arm64)")
	// ErrBusy: a process has one listener at most, and a container runtime, snapd
	// or the like already installed its own.
	ErrBusy = errors.New("another seccomp listener is already installed on this process")
	// ErrForbidden: a SystemCallFilter= or the like above us refuses seccomp(2).
	ErrForbidden = errors.New("seccomp(2) is not permitted here")
)

// Check reports whether adoption is possible at all on this kernel, without
// changing anything.
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
	// ADDFD came with 5.9: on a descriptor that is no listener a kernel that
	// knows it cannot be asked, so ask for the version.
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	if !atLeast(unix.ByteSliceToString(u.Release[:]), 5, 9) {
		return ErrKernel
	}
	return nil
}

// Install puts the filter on the calling thread and returns its listener, close
// on exec. The caller holds runtime.LockOSThread and executes the program from
// this very thread; other threads keep no filter and are ended by execve(2).
//
// killable asks for SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (5.19): once the
// notifier has seen a call, only a fatal signal interrupts it. Where the kernel
// does not know the flag the filter is installed without. Without
// CAP_SYS_ADMIN, no_new_privs is set, as seccomp(2) demands.
func Install(prog []unix.SockFilter, killable bool) (FD, error) {
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if killable {
		flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	fd, e := install(prog, flags)
	// An old kernel looks at the flags before it looks at the privileges.
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

// atLeast compares the leading "major.minor" of a kernel release.
func atLeast(release string, major, minor int) bool {
	a, rest := number(release)
	if rest == "" || rest[0] != '.' {
		return a > major
	}
	b, _ := number(rest[1:])
	return a > major || a == major && b >= minor
}

func number(s string) (int, string) {
	n, i := 0, 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' && n < 1<<20 {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:]
}
