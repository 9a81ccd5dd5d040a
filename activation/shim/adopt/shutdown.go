package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// shutdown handles shutdown(2): the call returns the same result as without the shim, but does not change the listener.
// shutdown(2) acts on the socket, not on the descriptor, so it would end listening in every process that shares the
// listener, including the other instances and PID 1. Programs with Twisted or gRPC call shutdown before they close their
// listener.
//
// A program expects shutdown to wake its threads that wait in accept, poll or select. Such a program needs
// Config.HoldAccept. With this setting, the notifier replaces the listener on the descriptor by a socket that does not
// listen, and makes the threads repeat their calls.
func (n *notifier) shutdown() {
	tid, fd := n.n.PID, uint32(n.n.Args[0])
	l := n.sharedListener(tid, fd)
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

// replaceClosed replaces the listener on the descriptor by a socket of the same family that does not listen. On this
// socket, as after a shutdown, accept fails with EINVAL, and poll reports POLLHUP.
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

// callAgain interrupts the threads of a process, as a drain does (see accept.go), so that each repeats its call on the new
// socket. If the process has only one thread, this thread has called shutdown and does not wait.
func (n *notifier) callAgain(tid uint32) {
	tids, ok := n.r.Threads(tid)
	if !ok || len(tids) < 2 {
		return
	}
	for _, t := range tids {
		interrupt(t)
	}
}

// The function interrupt stops and continues a thread, so that it repeats the system call in which it waits.
func interrupt(tid uint32) {
	unix.RawSyscall(unix.SYS_TKILL, uintptr(tid), uintptr(unix.SIGSTOP), 0)
	unix.RawSyscall(unix.SYS_TKILL, uintptr(tid), uintptr(unix.SIGCONT), 0)
}

// relistenAll listens again on each listener that was shut down by a process without a notifier, such as a native program
// that shares the listener, or a hostile worker. After a shutdown, poll(2) reports POLLHUP, and the kernel refuses every
// connection. All notifiers of the app listen again at the same time: if one calls connect(2) just after another has called
// listen(2), the kernel resets the connections that have arrived between these calls.
//
// Two kinds of listeners stay closed: Unix sockets, because unix_listen() leaves RCV_SHUTDOWN in place, and listeners
// whose port another process has bound in the meantime. relistenAll stops polling these listeners, because each poll
// would return at once.
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

// The function relisten makes a TCP listener that was shut down listen again. connect(2) with AF_UNSPEC first clears the
// state of the shutdown, because new connections would inherit this state and end at once.
func relisten(l *Listener) unix.Errno {
	if l.Addr.Family == unix.AF_UNIX {
		return unix.EINVAL
	}
	listens, size := int32(0), uint32(4)
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(l.FD), unix.SOL_SOCKET, unix.SO_ACCEPTCONN,
		uintptr(unsafe.Pointer(&listens)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 || listens != 0 {
		return e // another notifier has already called listen
	}
	none := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, e = unix.RawSyscall(unix.SYS_CONNECT, uintptr(l.FD), uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4)
	if e != 0 {
		return e
	}
	_, _, e = unix.RawSyscall(unix.SYS_LISTEN, uintptr(l.FD), uintptr(l.backlog), 0)
	return e
}

// The method watch fills fds with the stream listeners, so that poll(2) reports when a listener is shut down.
func (n *notifier) watch(fds []unix.PollFd) {
	for i := range fds {
		fds[i] = unix.PollFd{Fd: -1} // poll(2) ignores the entry
		if !n.ls[i].datagram() {
			fds[i] = unix.PollFd{Fd: int32(n.ls[i].FD), Events: unix.POLLRDHUP}
		}
	}
}

// lockFilters forbids packet filters on the stream listeners: a filter that drops every packet would close the port for all
// workers, even after the end of the worker that has set the filter. The lock cannot be removed, and connections inherit
// the lock.
func lockFilters(ls []Listener) {
	for i := range ls {
		if !ls[i].datagram() {
			// An error is ignored: the program starts without the lock if the kernel refuses it.
			_ = unix.SetsockoptInt(ls[i].FD, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1)
		}
	}
}

// backlogOf returns the length of the accept queue of a TCP listener: Backlog= of its unit, or the default of systemd if
// the kernel does not report it.
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
	return int(info.Sacked) // sk_max_ack_backlog if the socket listens (tcp_get_info in the kernel)
}
