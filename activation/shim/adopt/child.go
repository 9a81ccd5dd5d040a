package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
)

// child is the state of the forked process. The methods of child must not allocate, and must not block except in a raw
// system call; see the package comment.
type child struct {
	notifier
	pipe  int   // socket to the launcher
	keep  []int // descriptors that stay open, in ascending order
	title []byte

	msg     unix.Msghdr
	iov     unix.Iovec
	word    [4]byte
	control [64]byte
}

// forkNotifier runs in the first child. forkNotifier forks the notifier and exits.
func (c *child) forkNotifier() {
	pid, e := clone()
	if e != 0 || pid != 0 {
		exit(int(e))
	}
	c.runNotifier()
}

// runNotifier runs in the second child, the notifier.
func (c *child) runNotifier() {
	unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	masked := c.maskSignals()
	c.closeOthers()
	c.name()
	// Open the descriptor after closeOthers, which would close it.
	if e := c.openSignals(); masked != 0 || e != 0 {
		c.line.start("blocking signals in the notifier: ").errno(max(masked, e)).write()
		exit(1)
	}
	pid, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	*(*int32)(unsafe.Pointer(&c.word)) = int32(pid)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(c.pipe), uintptr(unsafe.Pointer(&c.word)), unsafe.Sizeof(c.word))
	fd := c.receive()
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(c.pipe), 0, 0)
	if fd < 0 {
		exit(1) // the launcher has reported the error
	}
	c.seccomp = seccomp.FD(fd)
	c.seccomp.SyncWakeUp()
	parent, _, _ := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	c.manager = int(parent)
	c.loop()
	exit(0)
}

// closeOthers closes all descriptors except the ones in keep, so that the notifier does not use a pipe, terminal or file
// system of the program. closeOthers opens /dev/null as standard input and output. stderr stays open for the log.
func (c *child) closeOthers() {
	next := 0
	for _, fd := range c.keep {
		if fd > next {
			unix.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(next), uintptr(fd-1), 0)
		}
		next = fd + 1
	}
	unix.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(next), 0xffffffff, 0)
	null := [...]byte{'/', 'd', 'e', 'v', '/', 'n', 'u', 'l', 'l', 0}
	at := unix.AT_FDCWD
	for range 2 { // openat uses the lowest free numbers, 0 and 1
		unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&null)), unix.O_RDWR, 0, 0, 0)
	}
	root := [...]byte{'/', 0}
	unix.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(&root)), 0, 0)
}

// The method name changes the name and the command line of the process, so that people recognise it in "systemctl
// status", and so that the drain finds the notifier by its argument "notify". If the notifier had the command line of the
// program, "pkill -f app.js" would match the notifier, too.
func (c *child) name() {
	comm := [...]byte{'s', 'h', 'i', 'm', '-', 'n', 'o', 't', 'i', 'f', 'y', 0}
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&comm)), 0)
	const title = "clusterctl-shim\x00notify\x00"
	if len(c.title) < len(title) {
		return
	}
	clear(c.title[copy(c.title, title):])
}

// maskSignals blocks all signals. systemd may send SIGTERM to the whole unit while the program still needs the notifier, so
// only SIGKILL ends a notifier.
func (c *child) maskSignals() unix.Errno {
	all := ^uint64(0)
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), 0, unsafe.Sizeof(all), 0, 0)
	return e
}

// openSignals opens the descriptor from which the notifier reads the signal of the drain.
func (c *child) openSignals() unix.Errno {
	drain := uint64(1) << (uint(unix.SIGUSR1) - 1)
	none := -1
	fd, _, e := unix.RawSyscall6(unix.SYS_SIGNALFD4, uintptr(none), uintptr(unsafe.Pointer(&drain)), unsafe.Sizeof(drain),
		unix.SFD_CLOEXEC|unix.SFD_NONBLOCK, 0, 0)
	c.signals = int(fd)
	return e
}

// The method receive returns the notification descriptor of the seccomp filter, which the launcher sends, or -1.
func (c *child) receive() int {
	c.iov = unix.Iovec{Base: &c.word[0], Len: 1}
	c.msg = unix.Msghdr{Iov: &c.iov, Iovlen: 1, Control: &c.control[0], Controllen: uint64(len(c.control))}
	n, _, e := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(c.pipe), uintptr(unsafe.Pointer(&c.msg)), unix.MSG_CMSG_CLOEXEC)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.control))
	if e != 0 || n != 1 || c.msg.Controllen < unix.SizeofCmsghdr+4 || h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_RIGHTS {
		return -1
	}
	return int(*(*int32)(unsafe.Pointer(&c.control[unix.SizeofCmsghdr])))
}

func exit(code int) {
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
}
