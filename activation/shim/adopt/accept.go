package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// An accept that waits in the kernel cannot be called back by the notifier, and
// would take a connection after the drain has begun. So each thread that was let
// into accept is remembered, and draining sends it SIGSTOP and SIGCONT: the wait
// ends with ERESTARTSYS, the thread makes the same call again, as after any stop
// (signal(7), "Interruption of system calls … by stop signals"), and the filter
// shows it again. Only then it is held. The program notices nothing.

// waiting is a table of threads by id, small and lossy: a thread that finds no
// room is not called back, and may serve one more connection.
type waiting struct {
	tids [512]uint32
}

func (w *waiting) add(tid uint32) {
	// Open addressing over a few places; an old thread gives way to a new one.
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

// accept passes every accept on, unless the instance is being drained.
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
		// Left unanswered: the thread sleeps on, in accept as it believes, and a
		// signal still ends it (the filter has no WAIT_KILLABLE_RECV).
		return
	}
	// A program that polls gets what it gets when a sibling was faster. It will
	// ask again at once while connections wait, hence the pause.
	pause(drainPause)
	n.seccomp.Fail(n.n.ID, unix.EAGAIN)
}

const drainPause = 2_000_000 // ns

// signal reads the drain's signal. One that the service manager sent is none: it
// comes from "systemctl kill --signal=USR1 app", which means the program (to
// reopen its logs, as a rule) and reaches every process of the unit.
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
