package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// shutdown(2) acts on the socket and not on the descriptor. On a listener it ends listening in every process that shares the
// listener: the siblings, and PID 1. Twisted, gRPC and others call it on their listener before they close it. So the call is
// answered with what the kernel would have answered, and the listener is left as it is.
//
// A program that has let another thread wait in accept, poll or select expects that thread to wake up. Such programs run
// with Config.HoldAccept: their descriptor gets a socket that does not listen, and the threads make their call again.
func (n *notifier) shutdown() {
	tid, fd := n.n.PID, uint32(n.n.Args[0])
	l := n.shared(tid, fd)
	if l == nil || uint32(n.n.Args[1]) > unix.SHUT_RDWR {
		n.proceed()
		return
	}
	if l.Kind == target.UDP4 || l.Kind == target.UDP6 {
		n.seccomp.Fail(n.n.ID, unix.ENOTCONN)
		return
	}
	wake := n.holds && !l.datagram() && n.replaceClosed(l, tid, fd)
	if n.seccomp.Return(n.n.ID, 0) == 0 && wake {
		n.callAgain(tid)
	}
}

// replaceClosed puts a socket of the same family that does not listen on the descriptor. For the program this is what shutdown
// leaves: accept fails with EINVAL, and poll says POLLHUP.
func (n *notifier) replaceClosed(l *Listener, tid, fd uint32) bool {
	dead, _, e := unix.RawSyscall(unix.SYS_SOCKET, uintptr(l.Addr.Family), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if e != 0 {
		return false
	}
	var flags uint32
	if f, ok := n.r.Flags(tid, fd); ok && target.CloseOnExec(f) {
		flags = unix.O_CLOEXEC
	}
	e = n.seccomp.Replace(n.n.ID, int(dead), fd, flags)
	unix.RawSyscall(unix.SYS_CLOSE, dead, 0, 0)
	return e == 0
}

// callAgain interrupts what the threads of a process wait for, as a drain does (see accept.go): each makes the same call
// again, and finds the other socket on the descriptor. A process with one thread waits for nothing while it calls shutdown.
func (n *notifier) callAgain(tid uint32) {
	tids, ok := n.r.Threads(tid)
	if !ok || len(tids) < 2 {
		return
	}
	for _, t := range tids {
		interrupt(t)
	}
}

// interrupt makes a thread leave the kernel and make its call again.
func interrupt(tid uint32) {
	unix.RawSyscall(unix.SYS_TKILL, uintptr(tid), uintptr(unix.SIGSTOP), 0)
	unix.RawSyscall(unix.SYS_TKILL, uintptr(tid), uintptr(unix.SIGCONT), 0)
}

// relistenAll listens again on each listener that a process has shut down without the notifier: a native program that shares
// the listener, or a worker that wants to do harm. poll(2) says POLLHUP then, and every connection is refused. All notifiers of
// the app listen again at the same time: if one calls connect(2) just after another has called listen(2), the connections that
// came between are reset.
//
// Two kinds of listeners stay closed: unix sockets, since unix_listen() leaves RCV_SHUTDOWN in place, and a port that another
// process has taken. relistenAll no longer watches them, since they would end each poll at once.
func (n *notifier) relistenAll(watched []unix.PollFd) {
	for i := range watched {
		if watched[i].Revents == 0 {
			continue
		}
		l := &n.ls[i]
		if e := relisten(l); e != 0 {
			watched[i].Fd = -1
			n.line.start("the listener ").str(l.Name).str(" was shut down by a process, and listening again failed: ").errno(e).
				hint().str("clusterctl stop APP, then clusterctl start APP").write()
		} else if !n.logged.relistened {
			n.logged.relistened = true
			n.line.start("the listener ").str(l.Name).str(" was shut down by a process (shutdown(2), " +
				"or connect(2) with AF_UNSPEC); it listens again").write()
		}
	}
}

// relisten makes a TCP listener that was shut down listen again. What is left of the shutdown goes first: connections would
// inherit it, and end at once.
func relisten(l *Listener) unix.Errno {
	if l.Addr.Family == unix.AF_UNIX {
		return unix.EINVAL
	}
	listens, size := int32(0), uint32(4)
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(l.FD), unix.SOL_SOCKET, unix.SO_ACCEPTCONN,
		uintptr(unsafe.Pointer(&listens)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 || listens != 0 {
		return e // a sibling's notifier was faster
	}
	none := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, e = unix.RawSyscall(unix.SYS_CONNECT, uintptr(l.FD), uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4)
	if e != 0 {
		return e
	}
	_, _, e = unix.RawSyscall(unix.SYS_LISTEN, uintptr(l.FD), uintptr(l.backlog), 0)
	return e
}

// watch fills in what relistenAll looks at: the stream listeners.
func (n *notifier) watch(fds []unix.PollFd) {
	for i := range fds {
		fds[i] = unix.PollFd{Fd: -1} // poll(2) passes it over
		if !n.ls[i].datagram() {
			fds[i] = unix.PollFd{Fd: int32(n.ls[i].FD), Events: unix.POLLRDHUP}
		}
	}
}

// lockFilters forbids packet filters on the stream listeners: one that drops all would close the port for every worker, and
// outlive the one that has set it. The kernel has no way back, and connections inherit the lock.
func lockFilters(ls []Listener) {
	for i := range ls {
		if !ls[i].datagram() {
			// Not worth a failed start, where some kernel refuses.
			_ = unix.SetsockoptInt(ls[i].FD, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1)
		}
	}
}

// backlogOf is how many connections wait in the queue of a TCP listener at most, Backlog= of its unit, or what systemd takes
// without one.
func backlogOf(fd int) int {
	const unset = 4096
	var info unix.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	const listening = 10 // TCP_LISTEN
	if e != 0 || info.State != listening || info.Sacked == 0 {
		return unset
	}
	return int(info.Sacked) // of a listener: sk_max_ack_backlog, tcp_get_info() in the kernel
}
