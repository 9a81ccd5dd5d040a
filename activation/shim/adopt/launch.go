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
	// HoldAccept shows accept(2) to the notifier too, so that a drain can hold this call. Programs that wait in accept, poll
	// or select instead of epoll need this.
	HoldAccept bool
	// NotifySocket is the value of NOTIFY_SOCKET (sd_notify(3)), or empty. The unit needs NotifyAccess=all, since the
	// notifier is not the main process. Together with READY=1 the notifier asks systemd to ignore all further messages of
	// the unit until its next start, which systemd 254 and later does.
	NotifySocket string
	// OwnPtrace removes CAP_SYS_PTRACE, an ambient capability of the unit, from the program. The notifier keeps it, so that
	// it can read forked children of the program where Yama's ptrace_scope is above 0.
	OwnPtrace bool
	// Args is the unchanged os.Args. The notifier writes its own command line into this memory.
	Args []string
}

// Start forks the notifier and installs the filter on the calling thread. Before the call, the caller must call
// runtime.LockOSThread; afterwards it must execute the program from the same thread and do nothing else. After an error it
// must exit, since the filter may be in place and the notifier ends.
//
// An error of package seccomp is the reason why adoption is impossible on this machine.
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
	debug.SetGCPercent(-1) // waits for a running collection to end: the child cannot take part in one
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
	// Signals of the program must be able to interrupt an accept that is held.
	filter := seccomp.Program(machine, calls)
	if shares(c.Listeners, target.UDP4) || shares(c.Listeners, target.UDP6) {
		filter = append(seccomp.Joins(machine), filter...)
	}
	fd, err := seccomp.Install(filter, !c.HoldAccept)
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return errors.New("sending the seccomp listener to the notifier: " + err.Error())
	}
	return nil
}

// awaitNotifier waits for the end of the first child, which makes the notifier a child of the service manager, and allows
// the notifier to read the memory of this process.
func awaitNotifier(pid, pipe int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return errors.New("waiting for the notifier's fork: " + err.Error())
		}
		break
	}
	var b [4]byte
	n, err := unix.Read(pipe, b[:])
	if err != nil || n != len(b) {
		return errors.New("the notifier did not start")
	}
	notifier := *(*int32)(unsafe.Pointer(&b))
	// This lasts through execve(2). EINVAL means a kernel without Yama, where it is not needed.
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

// Notify sends lines to NOTIFY_SOCKET, sd_notify(3), if it is set.
func Notify(lines ...string) error { return sd.Notify(sd.System(), lines...) }

// minAddrLen returns the length of the shortest address that the filter shows. It skips the 12 bytes of netlink, unless a
// listener has the path of a Unix socket, which may be shorter.
func minAddrLen(ls []Listener) uint32 {
	for i := range ls {
		if ls[i].Want.Path != "" {
			return 2
		}
	}
	return unix.SizeofSockaddrInet4
}

// HasPtrace reports whether this process has CAP_SYS_PTRACE as an ambient capability. The program would inherit it, unless
// Config.OwnPtrace is set.
func HasPtrace() bool {
	r, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_SYS_PTRACE, 0, 0)
	return err == nil && r == 1
}

// dropPtrace removes CAP_SYS_PTRACE from every capability set of this process, so that the program does not have it after
// execve(2). The notifier, which was forked before, keeps it.
func dropPtrace() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, unix.CAP_SYS_PTRACE, 0, 0); err != nil {
		return err
	}
	// This needs CAP_SETPCAP, which a sandboxed unit does not have. Then the capability stays in the bounding set, which
	// gives no right by itself (no_new_privs).
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

// shares reports whether a listener is of kind k.
func shares(ls []Listener, k target.Kind) bool {
	return slices.ContainsFunc(ls, func(l Listener) bool { return l.Kind == k })
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
	const others = 3 // descriptors besides the listeners; see loop
	ch.fds, ch.holds = make([]unix.PollFd, others+len(c.Listeners)), c.HoldAccept
	ch.machine, ch.notify, ch.ls, ch.main = m, notify, c.Listeners, unix.Getpid()
	return ch
}

// titleMemory returns the memory that /proc/PID/cmdline shows, or nil if args are not all in it.
func titleMemory(args []string) []byte {
	if len(args) == 0 || args[0] == "" {
		return nil
	}
	first := unsafe.StringData(args[0])
	size := uintptr(0)
	for _, a := range args {
		if a != "" && uintptr(unsafe.Pointer(unsafe.StringData(a))) != uintptr(unsafe.Pointer(first))+size {
			return nil // not in the block of memory that the kernel made
		}
		size += uintptr(len(a)) + 1
	}
	return unsafe.Slice(first, size)
}
