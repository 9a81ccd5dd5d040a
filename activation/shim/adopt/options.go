package adopt

import (
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/sockopt"
)

// options holds the options of a socket of the program, and which problems have been logged.
type options struct {
	set                 sockopt.Set
	unreadable, refused bool
}

// keepOptions copies the options that the program has set on its own socket to the listener that replaces this socket. PID 1
// and all workers share the listener. Since they run the same program, all workers set the same options.
//
// keepOptions reports whether the call still waits.
func (n *notifier) keepOptions(l *Listener, tid, fd uint32) bool {
	s, e := n.r.Socket(tid, fd)
	if !n.seccomp.Valid(n.n.ID) {
		// Another process may have the number of the task by now.
		if e == 0 {
			unix.RawSyscall(unix.SYS_CLOSE, uintptr(s), 0, 0)
		}
		return false
	}
	if e == 0 {
		e = n.options.set.Read(s)
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(s), 0, 0)
	}
	if e != 0 {
		n.optionsUnreadable(tid, e)
		return true
	}
	if name, e := n.options.set.Apply(l.FD); e != 0 {
		n.optionRefused(name, l, e)
	}
	return true
}

func (n *notifier) optionsUnreadable(tid uint32, e unix.Errno) {
	if n.options.unreadable {
		return
	}
	n.options.unreadable = true
	n.line.start("cannot read the socket options of process ").num(uint64(tid)).str(" (").bytes(n.r.Name(tid)).str("): ").errno(e).
		str("; options that it set before bind are lost").
		hint().str("set the options in the socket unit with systemctl edit, such as KeepAlive=yes in [Socket]").write()
}

func (n *notifier) optionRefused(name string, l *Listener, e unix.Errno) {
	if n.options.refused {
		return
	}
	n.options.refused = true
	n.line.start("the program set ").str(name).str(" on its socket, and it cannot be set on the shared " +
		"socket ").str(l.Name).str(": ").errno(e).write()
}
