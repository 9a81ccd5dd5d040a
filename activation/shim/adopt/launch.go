package adopt

import (
	"errors"
	"runtime/debug"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// Config configures Start.
type Config struct {
	Listeners []Listener
	// HoldAccept makes the filter also pass accept(2) to the notifier, so that a drain can hold this call. Programs that
	// wait in accept, poll or select instead of epoll need HoldAccept.
	HoldAccept bool
	// NotifySocket is the value of NOTIFY_SOCKET (sd_notify(3)), or empty. The unit needs NotifyAccess=all, because the
	// notifier is not the main process. After READY=1, systemd 254 and later ignores all messages of the unit until its
	// next start, because the notifier requests this.
	NotifySocket string
	// OwnPtrace removes CAP_SYS_PTRACE, an ambient capability of the unit, from the program. The notifier keeps the
	// capability, so that it can read forked children of the program even if Yama's ptrace_scope is above 0.
	OwnPtrace bool
	// Args is the unchanged os.Args. The notifier writes its own command line into the memory of these strings.
	Args []string
}

// Start forks the notifier and installs the filter on the calling thread. Before the call, the caller must call
// runtime.LockOSThread; afterwards the caller must execute the program from the same thread and do nothing else. After an
// error, the caller must exit, because the filter may be installed although the notifier ends.
//
// Start returns an error of package seccomp if adoption is impossible on this machine.
func Start(c Config) error {
	machine, ok := seccomp.Native()
	if !ok {
		return seccomp.ErrKernel
	}
	lockFilters(c.Listeners)
	notify, err := dialNotify(c.NotifySocket)
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return errors.New("making a socket pair: " + err.Error())
	}
	child := newChild(machine, notify, pair[1], &c)
	debug.SetGCPercent(-1) // also waits for the end of a running garbage collection, which the child could not continue
	growStack()
	pid, e := clone()
	if e != 0 {
		return errors.New("forking the notifier: " + e.Error())
	}
	if pid == 0 {
		child.forkNotifier()
	}
	unix.Close(pair[1])
	defer unix.Close(pair[0])
	if err := awaitNotifier(pid, pair[0]); err != nil {
		return err
	}
	if c.OwnPtrace {
		if err := dropPtrace(); err != nil {
			return errors.New("removing CAP_SYS_PTRACE from the program: " + err.Error())
		}
	}
	calls := seccomp.Calls{
		Accept: c.HoldAccept, MinAddrLen: minAddrLen(c.Listeners),
		Paths: paths(c.Listeners), AnyShutdown: slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.datagram() }),
	}
	// With HoldAccept, the filter is not killable: any signal of the program must interrupt an accept that the notifier
	// holds.
	filter := seccomp.Program(machine, calls)
	if slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Kind == target.UDP4 || l.Kind == target.UDP6 }) {
		filter = append(seccomp.Joins(machine), filter...)
	}
	fd, err := seccomp.Install(filter, !c.HoldAccept)
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return errors.New("sending the notification descriptor to the notifier: " + err.Error())
	}
	return nil
}

// awaitNotifier waits until the first child has ended, so that the notifier is a child of the service manager. Then
// awaitNotifier allows the notifier to read the memory of this process.
func awaitNotifier(pid, pipe int) error {
	err := error(unix.EINTR)
	for err == unix.EINTR {
		_, err = unix.Wait4(pid, nil, 0, nil)
	}
	if err != nil {
		return errors.New("waiting for the notifier's fork: " + err.Error())
	}
	var b [4]byte
	n, err := unix.Read(pipe, b[:])
	if err != nil || n != len(b) {
		return errors.New("the notifier did not start")
	}
	notifier := *(*int32)(unsafe.Pointer(&b))
	// The permission also applies to the program after execve(2). EINVAL means that the kernel has no Yama, so the notifier
	// does not need the permission.
	err = unix.Prctl(unix.PR_SET_PTRACER, uintptr(notifier), 0, 0, 0)
	if err != nil && err != unix.EINVAL {
		return errors.New("allowing the notifier to read the program: " + err.Error())
	}
	return nil
}

func dialNotify(path string) (int, error) {
	if path == "" {
		return -1, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, errors.New("opening a socket for NOTIFY_SOCKET: " + err.Error())
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, errors.New("NOTIFY_SOCKET=" + path + ": " + err.Error())
	}
	return fd, nil
}

// Notify sends lines to NOTIFY_SOCKET (sd_notify(3)). It does nothing if the variable is not set.
func Notify(lines ...string) error { return sd.Notify(sd.System(), lines...) }

// minAddrLen returns the length of the shortest address with which the filter passes a bind to the notifier. So the filter
// does not pass binds of netlink sockets, whose addresses have 12 bytes. If a listener has the path of a Unix socket, the
// result is 2, because such an address may be short, too.
func minAddrLen(ls []Listener) uint32 {
	if len(paths(ls)) > 0 {
		return 2
	}
	return unix.SizeofSockaddrInet4
}

// HasPtrace reports whether this process has CAP_SYS_PTRACE as an ambient capability. The program inherits this capability
// unless Config.OwnPtrace is set.
func HasPtrace() bool {
	r, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_SYS_PTRACE, 0, 0)
	return err == nil && r == 1
}

// dropPtrace removes CAP_SYS_PTRACE from every capability set of this process, so that the program does not have it after
// execve(2). The notifier keeps the capability, because it was forked earlier.
func dropPtrace() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, unix.CAP_SYS_PTRACE, 0, 0); err != nil {
		return err
	}
	// This call needs CAP_SETPCAP, which a sandboxed unit does not have. If the call fails, CAP_SYS_PTRACE stays in the
	// bounding set, where it has no effect because of no_new_privs.
	_ = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0)
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return err
	}
	const bit = uint32(1) << unix.CAP_SYS_PTRACE
	d[0].Effective &^= bit
	d[0].Permitted &^= bit
	d[0].Inheritable &^= bit
	return unix.Capset(&h, &d[0])
}

// newChild returns the state of the notifier, with all memory that it needs after the fork.
func newChild(m seccomp.Machine, notify, pipe int, c *Config) *child {
	// The notifier keeps stderr for the log, the pipe to the launcher, NOTIFY_SOCKET and the listeners open.
	keep := []int{2, pipe}
	if notify >= 0 {
		keep = append(keep, notify)
	}
	for i := range c.Listeners {
		keep = append(keep, c.Listeners[i].FD)
	}
	slices.Sort(keep)
	ch := &child{pipe: pipe, keep: keep, title: titleMemory(c.Args)}
	const others = 3 // entries of fds before the listeners; see loop
	ch.fds, ch.holds = make([]unix.PollFd, others+len(c.Listeners)), c.HoldAccept
	ch.machine, ch.notify, ch.ls, ch.main = m, notify, c.Listeners, unix.Getpid()
	return ch
}

// titleMemory returns the memory of the command line that /proc/PID/cmdline shows. titleMemory returns nil if one of args
// is not in this memory.
func titleMemory(args []string) []byte {
	if len(args) == 0 || args[0] == "" {
		return nil
	}
	first := unsafe.StringData(args[0])
	size := uintptr(0)
	for _, a := range args {
		if a != "" && uintptr(unsafe.Pointer(unsafe.StringData(a))) != uintptr(unsafe.Pointer(first))+size {
			return nil // not in the memory that execve(2) has filled
		}
		size += uintptr(len(a)) + 1
	}
	return unsafe.Slice(first, size)
}
