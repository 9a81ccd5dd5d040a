package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// notifier answers the intercepted calls. Everything it will ever need is in it
// before the fork.
type notifier struct {
	machine seccomp.Machine
	seccomp seccomp.FD
	signals int // signalfd of the drain's signal
	notify  int // connected to NOTIFY_SOCKET, or -1
	manager int // parent after the double fork: the service manager
	main    int // the launcher, which becomes the program
	ls      []Listener
	fds     []unix.PollFd // three and one for each listener
	holds   bool          // Config.HoldAccept

	ready        bool // all listeners are
	readyPending bool // READY=1 has not fitted into the manager's queue yet
	draining     bool
	logged       logged
	waiting      waiting // threads that the kernel runs an accept for
	owner        owner   // whose binds are answered
	options      options // of the program's own socket

	n    seccomp.Notification
	r    target.Reader
	addr target.Addr
	line line
	text [target.MaxPath]byte // a path of the program
}

// loop answers until the last process with the filter has gone. It waits without
// a timeout: nothing happens here unless the program calls.
func (n *notifier) loop() {
	fds := n.fds
	fds[0] = unix.PollFd{Fd: int32(n.seccomp), Events: unix.POLLIN}
	fds[1] = unix.PollFd{Fd: int32(n.signals), Events: unix.POLLIN}
	fds[2] = unix.PollFd{Events: unix.POLLOUT}
	n.watch(fds[3:])
	for {
		fds[2].Fd = -1 // poll(2) passes it over
		if n.readyPending {
			fds[2].Fd = int32(n.notify)
		}
		if e := poll(fds); e == unix.EINTR {
			continue
		} else if e != 0 {
			n.line.start("poll: ").errno(e).write()
			return
		}
		// The drain's signal goes first, so that every call made after it was
		// sent is answered by the rules of draining.
		if fds[1].Revents != 0 {
			n.signal()
		}
		if fds[2].Revents != 0 {
			n.tellReady()
		}
		n.relistenAll(fds[3:])
		switch {
		case fds[0].Revents&unix.POLLIN != 0:
			// ENOENT: interrupted or gone meanwhile. Trying again here instead of
			// in poll would spin for ever once the last process has gone.
			if n.seccomp.Receive(&n.n) == 0 {
				n.answer()
			}
		case fds[0].Revents != 0: // POLLHUP: nobody is left
			return
		}
	}
}

func (n *notifier) answer() {
	nr := uint32(n.n.Nr)
	switch {
	case n.n.PID == 0: // in a pid namespace that we cannot see into
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
		n.joins()
	case nr == n.machine.Connect:
		n.connect()
	case n.path(nr):
	default:
		n.proceed()
	}
}

// proceed hands the call to the kernel. An error means that the call is no more.
func (n *notifier) proceed() { n.seccomp.Continue(n.n.ID) }

// bind swaps in the listener that answers this bind, if one does.
func (n *notifier) bind() {
	tid, fd := n.n.PID, uint32(n.n.Args[0])
	kind, e := n.r.Kind(tid, fd)
	if e == 0 && !n.concerns(kind) {
		n.proceed()
		return
	}
	ok, e := n.r.Sockaddr(tid, n.n.Args[1], n.n.Args[2]&0xffffffff, &n.addr)
	if e != 0 {
		n.unreadable(tid, e)
		n.proceed()
		return
	}
	// What was read belongs to this call only if the call still waits.
	if !n.seccomp.Valid(n.n.ID) {
		return
	}
	if !ok {
		n.proceed()
		return
	}
	n.wanted(tid)
	at, near := match(n.ls, kind, &n.addr)
	if at < 0 {
		if near >= 0 {
			n.mismatch(kind, &n.ls[near])
		}
		n.proceed()
		return
	}
	if !n.owned(tid) {
		n.proceed()
		return
	}
	// The task id may have been reused, unless the call still waits.
	if n.seccomp.Valid(n.n.ID) && n.keepOptions(&n.ls[at], tid, fd) {
		n.swap(&n.ls[at], tid, fd)
	}
}

// swap puts the listener on the program's descriptor and lets its bind succeed.
// Doing it twice does no harm: a call that a signal interrupted comes again.
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
	case unix.ENOENT: // the call is no more
	default:
		n.line.start("putting the socket ").str(l.Name).str(" on descriptor ").num(uint64(fd)).
			str(" of process ").num(uint64(tid)).str(": ").errno(e).write()
		n.proceed()
	}
}

// listen answers for the shared listeners, and for them alone. It goes by inode,
// so forked children and duplicated or passed descriptors are known too.
func (n *notifier) listen() {
	l := n.shared(n.n.PID, uint32(n.n.Args[0]))
	if l == nil {
		n.proceed()
		return
	}
	if n.seccomp.Return(n.n.ID, 0) == 0 {
		n.mark(l)
	}
}

func (n *notifier) shared(tid, fd uint32) *Listener {
	inode, ok := n.r.Inode(tid, fd)
	for i := range n.ls {
		if ok && n.ls[i].Inode == inode {
			return &n.ls[i]
		}
	}
	return nil
}

// mark notes that the program listens on l, and says READY=1 with the last one.
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
		n.tellReady()
	}
}

// tellReady sends READY=1. The manager's queue is short (net.unix.max_dgram_qlen,
// 10 in a container) and full where a hundred workers start at once: then it is
// sent when poll says that there is room.
func (n *notifier) tellReady() {
	e := send(n.notify, unsafe.Slice(unsafe.StringData(readyMessage), len(readyMessage)))
	n.readyPending = e == unix.EAGAIN
	if e != 0 && !n.readyPending {
		n.line.start("telling the service manager that the program is ready: ").errno(e).write()
	}
}

// readyMessage also ends the right to speak to the service manager, which the program has had until now: it could stretch
// its stop without end (EXTEND_TIMEOUT_USEC=). systemd before 254 ignores that line.
const readyMessage = "READY=1\nNOTIFYACCESS=none"

// concerns reports whether a socket of kind k may ask for one of the listeners.
// It spares reading the memory of every UDP bind of an HTTP server.
func (n *notifier) concerns(k target.Kind) bool {
	if k == target.Unknown {
		return false
	}
	for i := range n.ls {
		w := &n.ls[i].Want
		if answers(w.Kind, k) || w.Path == "" && (k == target.TCP4 || k == target.TCP6) {
			return true
		}
	}
	return false
}
