package seccomp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Notification is struct seccomp_notif, seccomp_unotify(2), with additional room: a newer kernel may write a larger struct.
type Notification struct {
	ID    uint64
	PID   uint32 // thread id in the PID namespace of the notifier; 0 if the thread is not in it
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

// FD is the listener descriptor that Install returns. Its methods use raw system calls and do not allocate, because the
// notifier is a forked Go process with a single thread and without a scheduler.
type FD int

// Receive stores the next notification in n. ENOENT means that the thread has ended or its call was interrupted: return to
// poll.
func (f FD) Receive(n *Notification) unix.Errno {
	*n = Notification{} // the kernel requires a zero buffer
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
}

// Valid reports whether the notification id still waits for its answer. The caller must call it after it has read memory of
// the target and before it uses the data.
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

// Continue lets the kernel run the intercepted call as without a filter.
func (f FD) Continue(id uint64) unix.Errno {
	r := response{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
}

// Replace puts the open file src of this process on descriptor dst of the process that made the call, like dup3(2), with
// flags O_CLOEXEC or 0. It does not use SECCOMP_ADDFD_FLAG_SEND, with which the call would return the descriptor number:
// bind(2) must return 0.
func (f FD) Replace(id uint64, src int, dst, flags uint32) unix.Errno {
	a := addfd{id: id, flags: unix.SECCOMP_ADDFD_FLAG_SETFD, srcfd: uint32(src), newfd: dst, newfdFlags: flags}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&a))
}

// SyncWakeUp makes the kernel (6.6 and later) switch directly between target and notifier. It has no effect on older
// kernels.
func (f FD) SyncWakeUp() {
	unix.RawSyscall(unix.SYS_IOCTL, uintptr(f), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
}

func (f FD) ioctl(req uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(f), req, uintptr(arg))
	return e
}
