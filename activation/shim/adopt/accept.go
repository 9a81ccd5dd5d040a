package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The notifier cannot end an accept(2) that already waits in the kernel. Such an accept would return a connection after the
// drain has begun. So the notifier stores the id of each thread that waits in accept, and sends SIGSTOP and SIGCONT to
// these threads when the drain begins. Each thread then repeats its call, as after any stop (signal(7), "Interruption of
// system calls … by stop signals"). The filter then passes the call to the notifier, which holds it. The program does not
// notice the interruption.

// waitingThreads holds the ids of the threads that wait in accept(2) in the kernel. If the table is full, the id of a
// thread may be missing. A drain does not interrupt such a thread, which may then serve one more connection.
type waitingThreads struct {
	tids [512]uint32
}

func (w *waitingThreads) add(tid uint32) {
	// The id goes to the first free slot of 8 slots (open addressing). If no slot is free, the id replaces an older id.
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

// The method accept lets the kernel run every accept(2), unless the instance is being drained.
func (n *notifier) accept() {
	tid, fd := n.n.PID, uint32(n.n.Args[0])
	if !n.draining {
		n.waiting.add(tid)
		n.proceed()
		return
	}
	l := n.sharedListener(tid, fd)
	if l == nil {
		n.proceed()
		return
	}
	flags, _, e := unix.RawSyscall(unix.SYS_FCNTL, uintptr(l.FD), unix.F_GETFL, 0)
	if e == 0 && flags&unix.O_NONBLOCK == 0 {
		// If the notifier does not respond, the thread sleeps as if it waited in accept. A signal still interrupts the
		// call, because the filter was installed without WAIT_KILLABLE_RECV.
		return
	}
	// On a non-blocking listener, the call fails as if another instance had accepted the connection. Because a connection
	// still waits, the program would call accept again at once, so pause first.
	pause := unix.NsecToTimespec(2_000_000)
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
	n.seccomp.Fail(n.n.ID, unix.EAGAIN)
}

// The method signal reads the signal that begins a drain (SIGUSR1). After this signal, the notifier holds accepts. The
// method ignores SIGUSR1 from the service manager, because "systemctl kill --signal=USR1 app" is meant for the program,
// for example to reopen its logs, but systemd sends the signal to every process of the unit.
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
