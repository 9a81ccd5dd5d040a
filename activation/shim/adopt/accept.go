package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The notifier cannot end an accept that waits in the kernel, and this accept would take a connection after the drain has
// begun. So the notifier remembers each thread whose accept went to the kernel, and a drain sends SIGSTOP and SIGCONT to
// these threads: the wait ends with ERESTARTSYS, the thread makes the same call again, as after any stop (signal(7),
// "Interruption of system calls … by stop signals"), and the filter shows the call to the notifier again, which now holds
// it. The program does not notice.

// waiting has the ids of the threads that wait in accept(2) in the kernel. If it is full, a thread may be missing: the drain
// does not interrupt this thread, which may then serve one more connection.
type waiting struct {
	tids [512]uint32
}

func (w *waiting) add(tid uint32) {
	// Open addressing over 8 places. If all are taken, the new thread replaces an old one.
	at := tid % uint32(len(w.tids))
	for i := uint32(0); i < 8; i++ {
		p := &w.tids[(at+i)%uint32(len(w.tids))]
		if *p == 0 || *p == tid {
			*p = tid
			return
		}
	}
	w.tids[at] = tid
}

// accept lets the kernel run every accept, unless the instance is being drained.
func (n *notifier) accept() {
	tid, fd := n.n.PID, uint32(n.n.Args[0])
	if !n.draining {
		n.waiting.add(tid)
		n.proceed()
		return
	}
	l := n.shared(tid, fd)
	if l == nil {
		n.proceed()
		return
	}
	flags, _, e := unix.RawSyscall(unix.SYS_FCNTL, uintptr(l.FD), unix.F_GETFL, 0)
	if e == 0 && flags&unix.O_NONBLOCK == 0 {
		// Without an answer the thread sleeps as if in accept. A signal still ends the call, since the filter has no
		// WAIT_KILLABLE_RECV.
		return
	}
	// A program that polls gets the error of a program whose sibling was faster. It calls accept again at once while
	// connections wait, so pause first.
	pause(drainPause)
	n.seccomp.Fail(n.n.ID, unix.EAGAIN)
}

const drainPause = 2_000_000 // ns

// signal reads the signal of the drain and begins to hold accepts. It ignores a signal from the service manager: "systemctl
// kill --signal=USR1 app" is meant for the program, which often reopens its logs then, but reaches every process of the
// unit.
func (n *notifier) signal() {
	var info unix.SignalfdSiginfo
	got, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(n.signals), uintptr(unsafe.Pointer(&info)), unsafe.Sizeof(info))
	if e != 0 || got != unsafe.Sizeof(info) || int(info.Pid) == n.manager || n.draining {
		return
	}
	n.draining = true
	for _, tid := range n.waiting.tids {
		if tid != 0 {
			interrupt(tid)
		}
	}
}

func poll(fds []unix.PollFd) unix.Errno {
	_, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), 0, 0, 0, 0)
	return e
}

func pause(ns int64) {
	ts := unix.NsecToTimespec(ns)
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

func send(fd int, b []byte) unix.Errno {
	_, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	return e
}
