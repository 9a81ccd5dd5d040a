package seccomp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Notification is struct seccomp_notif (seccomp_unotify(2)), with room for the larger struct of a newer kernel.
type Notification struct {
	ID    uint64
	PID   uint32 // thread id in the PID namespace of the notifier; 0 if the thread is in another namespace
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

// FD is the descriptor for notifications that Install returns. The methods of FD use raw system calls and do not allocate,
// because the notifier is a forked Go process with a single thread and without a scheduler.
type FD int

// Receive stores the next notification in n. ENOENT means that the thread has ended or its call was interrupted, so the
// caller must wait for the next notification.
func (f FD) Receive(n *Notification) unix.Errno {
	*n = Notification{} // the kernel requires a zero buffer
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
}

// Valid reports whether the thread still waits in the intercepted call. After the caller has read memory of the thread, it
// must call Valid before it uses the data: the thread may have ended, and another thread may have its id.
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

// Continue lets the kernel run the intercepted call.
func (f FD) Continue(id uint64) unix.Errno {
	r := response{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
}

// Replace duplicates descriptor src of this process to descriptor dst of the process that made the call, like dup3(2). flags
// must be O_CLOEXEC or 0. The caller must then end the intercepted call with Return. SECCOMP_ADDFD_FLAG_SEND would end the
// call too, but bind(2) would then return the number of the descriptor instead of 0.
func (f FD) Replace(id uint64, src int, dst, flags uint32) unix.Errno {
	a := addfd{id: id, flags: unix.SECCOMP_ADDFD_FLAG_SETFD, srcfd: uint32(src), newfd: dst, newfdFlags: flags}
	return f.ioctl(unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&a))
}

// SyncWakeUp makes the kernel switch directly from the program to the notifier and back. SyncWakeUp has no effect before
// Linux 6.6.
func (f FD) SyncWakeUp() {
	unix.RawSyscall(unix.SYS_IOCTL, uintptr(f), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
}

func (f FD) ioctl(req uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(f), req, uintptr(arg))
	return e
}
