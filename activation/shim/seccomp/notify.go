package seccomp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Notification is struct seccomp_notif, seccomp_unotify(2), with room behind it:
// the kernel writes as many bytes as its own struct has, and that may grow.
type Notification struct {
	ID    uint64
	PID   uint32 // thread id, in the notifier's pid namespace; 0 when it has none there
	Flags uint32
	Nr    int32
	Arch  uint32
	IP    uint64
	Args  [6]uint64
	_     [maxSize - 80]byte
}

const maxSize = 256

type response struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

type addfd struct {
	id         uint64
	flags      uint32
	srcfd      uint32
	newfd      uint32
	newfdFlags uint32
}

// FD is the listener descriptor that Install returns. Its methods use raw system
// calls and allocate nothing, because the notifier is a forked Go process with a
// single thread and no scheduler beside it.
type FD int

// Receive fetches the next notification into n. ENOENT means that its process
// has gone or was interrupted meanwhile: go back to poll.
func (f FD) Receive(n *Notification) unix.Errno {
	*n = Notification{} // the kernel refuses a buffer that is not zero
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
}

// Valid reports whether the notification id still waits for its answer. To be
// asked after reading the target's memory and before believing what was read.
func (f FD) Valid(id uint64) bool {
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id)) == 0
}

// Return makes the intercepted call return val.
func (f FD) Return(id uint64, val int64) unix.Errno {
	r := response{id: id, val: val}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
}

// Fail makes the intercepted call fail with e.
func (f FD) Fail(id uint64, e unix.Errno) unix.Errno {
	r := response{id: id, err: -int32(e)}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
}

// Continue lets the kernel run the intercepted call as if there were no filter.
func (f FD) Continue(id uint64) unix.Errno {
	r := response{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
}

// Replace puts the open file src of this process on descriptor dst of the
// process behind the notification, as dup3(2) would, with flags O_CLOEXEC or 0.
// SECCOMP_ADDFD_FLAG_SEND is not used: it makes the call return the descriptor
// number, and bind(2) has to return 0.
func (f FD) Replace(id uint64, src int, dst, flags uint32) unix.Errno {
	a := addfd{id: id, flags: unix.SECCOMP_ADDFD_FLAG_SETFD, srcfd: uint32(src), newfd: dst, newfdFlags: flags}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&a))
}

// SyncWakeUp asks the kernel (6.6 and later) to switch straight between target
// and notifier; older kernels refuse, and nothing is lost.
func (f FD) SyncWakeUp() {
	unix.RawSyscall(unix.SYS_IOCTL, uintptr(f), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
}

func (f FD) ioctl(req uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(f), req, uintptr(arg))
	return e
}
