package adopt

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// messageLog records which messages the notifier has logged. It logs each message once per start.
type messageLog struct{ unreadable, mismatch, notOwner, renamed, relistened, joined, options, option bool }

// line builds a message for the log without allocating.
type line struct {
	b   []byte
	buf [512]byte
}

func (l *line) start(s string) *line {
	l.b = append(append(l.buf[:0], contract.LogPrefix...), s...)
	return l
}

// str appends s, or the part of s that fits into the buffer.
func (l *line) str(s string) *line {
	l.b = append(l.b, s[:min(len(s), l.room())]...)
	return l
}

func (l *line) bytes(s []byte) *line {
	for _, c := range s[:min(len(s), l.room())] {
		if c < ' ' || c == 0x7f {
			c = '?'
		}
		l.b = append(l.b, c)
	}
	return l
}

func (l *line) num(n uint64) *line {
	if l.room() > 20 {
		l.b = strconv.AppendUint(l.b, n, 10)
	}
	return l
}

func (l *line) addr(a *target.Addr) *line {
	if l.room() > 120 {
		l.b = a.AppendTo(l.b)
	}
	return l
}

// errno appends the text of e. If e has no text, errno appends the number, because Errno.Error would allocate memory.
func (l *line) errno(e unix.Errno) *line {
	if int(e) < 134 {
		return l.str(e.Error())
	}
	return l.str("error ").num(uint64(e))
}

// The method hint begins the second line of a message, which contains a hint.
func (l *line) hint() *line { return l.str("\n" + contract.LogPrefix + "hint: ") }

func (l *line) room() int { return len(l.buf) - len(l.b) - 1 }

func (l *line) write() {
	l.b = append(l.b, '\n')
	unix.RawSyscall(unix.SYS_WRITE, 2, uintptr(unsafe.Pointer(&l.b[0])), uintptr(len(l.b)))
}

// The method mismatch logs that the program binds the right port with the wrong address family.
func (n *notifier) mismatch(k target.Kind, l *Listener) {
	if n.logged.mismatch {
		return
	}
	n.logged.mismatch = true
	n.line.start("the program binds ").str(kindOf(k).String()).str(" ").addr(&n.addr).str(", but the socket of the unit is ").
		str(kindOf(l.Kind).String()).str(" ").addr(&l.Addr).str("; the program does not get this socket").
		hint().str("clusterctl install … --listen ").addr(&n.addr).str(", or let the program listen on ").addr(&l.Addr).write()
}

// notOwner logs that a process does not get a listener, because the process has another user or other namespaces than the
// main process.
func (n *notifier) notOwner(tid uint32) {
	if n.logged.notOwner {
		return
	}
	n.logged.notOwner = true
	o := &n.owner
	n.line.start("process ").num(uint64(tid)).str(" (").bytes(n.r.Name(tid)).str(") of user ").
		num(uint64(o.task.UID)).str(" binds ").addr(&n.addr)
	if !o.task.Same(&o.firstIdentity) {
		n.line.str(" in another namespace than")
	} else {
		n.line.str(", which belongs to user ").num(uint64(o.firstIdentity.UID)).str(" of")
	}
	n.line.str(" the main process; the process does not get the socket of the unit").
		hint().str("let the main process bind the address and pass the socket to the process, " +
		"or use --run-as so that all processes have the same user").write()
}

// logUnreadable logs that the notifier cannot read the arguments of a call.
func (n *notifier) logUnreadable(tid uint32, e unix.Errno) {
	if n.logged.unreadable || e != unix.EACCES && e != unix.EPERM {
		return
	}
	n.logged.unreadable = true
	n.line.start("cannot read the memory of process ").num(uint64(tid)).str(" (").bytes(n.r.Name(tid)).str("): ").errno(e).
		str("; the process does not get the socket of the unit").
		hint().str("if sysctl kernel.yama.ptrace_scope is above 0, use clusterctl install … --own-ptrace; " +
		"otherwise the process must be dumpable").write()
}

// logRename logs that the program renames a file, usually another socket that it has bound, to the path of the
// listener. The rename has no effect, so clients do not reach the other socket.
func (n *notifier) logRename(l *Listener) {
	if n.logged.renamed {
		return
	}
	n.logged.renamed = true
	n.line.start("the program renames a file to ").str(l.Want.Path).str(", the path of the unit's socket; the rename has no effect").
		hint().str("let the program bind ").str(l.Want.Path).str(" itself").write()
}

// The method join logs that the program joins a multicast group on a shared socket, and lets the kernel run the call. The
// service manager keeps the socket open and the socket keeps its membership, so the call fails with EADDRINUSE in the
// next worker.
func (n *notifier) join() {
	l := n.sharedListener(n.n.PID, uint32(n.n.Args[0]))
	n.proceed()
	if l == nil || n.logged.joined {
		return
	}
	n.logged.joined = true
	n.line.start("the program joins a multicast group on the shared socket ").str(kindOf(l.Kind).String()).str(" ").addr(&l.Addr).
		str("; only the first worker can join").
		hint().str("uninstall the app, and install it without --listen udp:").num(uint64(l.Addr.Port)).write()
}

// optionsUnreadable logs that the options that the program has set on its own socket cannot be read.
func (n *notifier) optionsUnreadable(tid uint32, e unix.Errno) {
	if n.logged.options {
		return
	}
	n.logged.options = true
	n.line.start("cannot read the socket options of process ").num(uint64(tid)).str(" (").bytes(n.r.Name(tid)).str("): ").errno(e).
		str("; options that the process set before bind are lost").
		hint().str("set the options in the socket unit with systemctl edit, such as KeepAlive=yes in [Socket]").write()
}

// optionRefused logs that an option of the program's socket cannot be set on the listener.
func (n *notifier) optionRefused(name string, l *Listener, e unix.Errno) {
	if n.logged.option {
		return
	}
	n.logged.option = true
	n.line.start("the program set ").str(name).str(" on its socket, but this option cannot be set on the shared " +
		"socket ").str(l.Name).str(": ").errno(e).write()
}
