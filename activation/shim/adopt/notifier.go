package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
	"github.com/clusterctl/clusterctl/activation/shim/sockopt"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// notifier responds to the calls that the filter passes. All memory of the notifier is allocated before the fork.
type notifier struct {
	machine seccomp.Machine
	seccomp seccomp.FD
	signals int // signalfd for the signal of the drain
	notify  int // socket that is connected to NOTIFY_SOCKET, or -1
	manager int // process ID of the service manager, the parent after the double fork
	main    int // process ID of the launcher, which becomes the program
	ls      []Listener
	fds     []unix.PollFd // three entries, and one for each listener
	holds   bool          // Config.HoldAccept

	ready        bool // all listeners are ready
	readyPending bool // the manager's queue was full, so READY=1 must be sent again
	draining     bool
	logged       messageLog
	waiting      waitingThreads // threads that wait in accept(2) in the kernel
	owner        owner          // decides which tasks can get a listener
	options      sockopt.Set    // options that the program has set on its socket

	n    seccomp.Notification
	r    target.Reader
	addr target.Addr
	line line
	text [target.MaxPath]byte // buffer for a path in a call
}

// The method loop responds to calls until the last process with the filter has ended. It waits without a timeout, so that
// an idle notifier never wakes up.
func (n *notifier) loop() {
	fds := n.fds
	fds[0] = unix.PollFd{Fd: int32(n.seccomp), Events: unix.POLLIN}
	fds[1] = unix.PollFd{Fd: int32(n.signals), Events: unix.POLLIN}
	fds[2] = unix.PollFd{Events: unix.POLLOUT}
	n.watch(fds[3:])
	for {
		fds[2].Fd = -1 // poll(2) ignores the entry
		if n.readyPending {
			fds[2].Fd = int32(n.notify)
		}
		_, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), 0, 0, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			n.line.start("poll: ").errno(e).write()
			return
		}
		// Handle the signal of the drain first, so that the drain affects every call that the program has made after the
		// signal.
		if fds[1].Revents != 0 {
			n.signal()
		}
		if fds[2].Revents != 0 {
			n.sendReady()
		}
		n.relistenAll(fds[3:])
		switch {
		case fds[0].Revents&unix.POLLIN != 0:
			// ENOENT means that the call was interrupted or that its process has ended. Call poll again before the next
			// attempt: after the end of the last process, only poll reports the end.
			if n.seccomp.Receive(&n.n) == 0 {
				n.answer()
			}
		case fds[0].Revents != 0: // POLLHUP: no process is left
			return
		}
	}
}

func (n *notifier) answer() {
	nr := uint32(n.n.Nr)
	switch {
	case n.n.PID == 0: // the process is in a PID namespace that the notifier cannot see
		n.proceed()
	case nr == n.machine.Bind:
		n.bind()
	case nr == n.machine.Listen:
		n.listen()
	case nr == n.machine.Accept || nr == n.machine.Accept4:
		n.accept()
	case nr == n.machine.Shutdown:
		n.shutdown()
	case nr == n.machine.Setsockopt:
		n.join()
	case nr == n.machine.Connect:
		n.connect()
	case n.path(nr):
	default:
		n.proceed()
	}
}

// The method proceed lets the kernel run the call. An error means that the call has ended.
func (n *notifier) proceed() { n.seccomp.Continue(n.n.ID) }

// The method bind replaces the program's socket by the listener that matches the bind, if there is one.
func (n *notifier) bind() {
	tid, fd := n.n.PID, uint32(n.n.Args[0])
	kind, e := n.r.Kind(tid, fd)
	if e == 0 && !n.mayMatch(kind) {
		n.proceed()
		return
	}
	ok, e := n.r.Sockaddr(tid, n.n.Args[1], n.n.Args[2]&0xffffffff, &n.addr)
	if e != 0 {
		n.logUnreadable(tid, e)
		n.proceed()
		return
	}
	// The address belongs to this call only if the call still waits.
	if !n.seccomp.Valid(n.n.ID) {
		return
	}
	if !ok {
		n.proceed()
		return
	}
	n.replacePath(tid)
	at, near := match(n.ls, kind, &n.addr)
	if at < 0 {
		if near >= 0 {
			n.mismatch(kind, &n.ls[near])
		}
		n.proceed()
		return
	}
	if !n.canGetListener(tid) {
		n.proceed()
		return
	}
	// The task id may have been reused, unless the call still waits.
	if n.seccomp.Valid(n.n.ID) && n.keepOptions(&n.ls[at], tid, fd) {
		n.swap(&n.ls[at], tid, fd)
	}
}

// keepOptions copies the options that the program has set on its own socket to the listener that replaces this socket. PID
// 1 and all workers share the listener. All workers run the same program, so they set the same options.
//
// keepOptions reports whether the call still waits.
func (n *notifier) keepOptions(l *Listener, tid, fd uint32) bool {
	s, e := n.r.Socket(tid, fd)
	// If the call no longer waits, s may be a socket of another process with the same id.
	valid := n.seccomp.Valid(n.n.ID)
	if e == 0 {
		if valid {
			e = n.options.Read(s)
		}
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(s), 0, 0)
	}
	if !valid {
		return false
	}
	if e != 0 {
		n.optionsUnreadable(tid, e)
	} else if name, e := n.options.Apply(l.FD); e != 0 {
		n.optionRefused(name, l, e)
	}
	return true
}

// The method swap puts the listener on the program's descriptor and lets bind succeed. swap may run twice for one call,
// because the kernel restarts a call that a signal has interrupted.
func (n *notifier) swap(l *Listener, tid, fd uint32) {
	var flags uint32
	if f, ok := n.r.Flags(tid, fd); ok && target.CloseOnExec(f) {
		flags = unix.O_CLOEXEC
	}
	switch e := n.seccomp.Replace(n.n.ID, l.FD, fd, flags); e {
	case 0:
		l.bound = true
		n.seccomp.Return(n.n.ID, 0)
		if l.datagram() {
			n.mark(l)
		}
	case unix.ENOENT: // the call has ended
	default:
		n.line.start("putting the socket ").str(l.Name).str(" on descriptor ").num(uint64(fd)).
			str(" of process ").num(uint64(tid)).str(": ").errno(e).write()
		n.proceed()
	}
}

// The method listen lets the call succeed on a shared listener, and lets the kernel run every other call. It compares
// inodes, so it also recognises the listener in forked children, and after dup(2) or SCM_RIGHTS.
func (n *notifier) listen() {
	l := n.sharedListener(n.n.PID, uint32(n.n.Args[0]))
	if l == nil {
		n.proceed()
		return
	}
	if n.seccomp.Return(n.n.ID, 0) == 0 {
		n.mark(l)
	}
}

func (n *notifier) sharedListener(tid, fd uint32) *Listener {
	inode, ok := n.r.Inode(tid, fd)
	for i := range n.ls {
		if ok && n.ls[i].Inode == inode {
			return &n.ls[i]
		}
	}
	return nil
}

// The method mark records that the program listens on l, and sends READY=1 once all listeners are ready.
func (n *notifier) mark(l *Listener) {
	l.ready = true
	if n.ready {
		return
	}
	for i := range n.ls {
		if !n.ls[i].ready {
			return
		}
	}
	n.ready = true
	if n.notify >= 0 {
		n.sendReady()
	}
}

// sendReady sends READY=1. The manager's queue is short (net.unix.max_dgram_qlen, 10 in a container) and may be full if a
// hundred workers start at once. Then loop sends READY=1 when poll reports that the queue has space.
func (n *notifier) sendReady() {
	_, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(n.notify), uintptr(unsafe.Pointer(unsafe.StringData(readyMessage))),
		uintptr(len(readyMessage)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	n.readyPending = e == unix.EAGAIN
	if e != 0 && !n.readyPending {
		n.line.start("sending READY=1 to the service manager: ").errno(e).write()
	}
}

// readyMessage also makes systemd ignore further messages of the unit: otherwise the program could extend its stop without
// limit (EXTEND_TIMEOUT_USEC=). systemd before 254 ignores NOTIFYACCESS=.
const readyMessage = "READY=1\nNOTIFYACCESS=none"

// mayMatch reports whether a bind of a socket of kind k can match a listener. If it cannot match, for example because the
// socket is a UDP socket and all listeners are TCP sockets, the notifier does not read the address of the bind.
func (n *notifier) mayMatch(k target.Kind) bool {
	if k == target.Unknown {
		return false
	}
	for i := range n.ls {
		w := &n.ls[i].Want
		if sameKind(w.Kind, k) || w.Path == "" && (k == target.TCP4 || k == target.TCP6) {
			return true
		}
	}
	return false
}
