package load

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sockets creates sockets in the network namespace of another process. A socket belongs to the namespace of the thread that
// created it, so only one thread enters the other namespace.
type sockets struct {
	fds  chan socket
	stop chan struct{}
	root *os.File // the target's root directory, for paths of unix sockets
}

type socket struct {
	fd  int
	err error
}

// openSockets starts the thread that creates sockets of one address family in the namespaces of pid.
func openSockets(pid, domain int) (*sockets, error) {
	root, err := openPath(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		return nil, err
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		root.Close()
		return nil, err
	}
	s := &sockets{fds: make(chan socket, 4), stop: make(chan struct{}), root: root}
	entered := make(chan error)
	go s.produce(ns, domain, entered)
	if err := <-entered; err != nil {
		root.Close()
		return nil, fmt.Errorf("entering the machine's network: %w", err)
	}
	return s, nil
}

// The method produce creates sockets. The method does not unlock its thread, so the thread ends with the goroutine, and no
// other goroutine runs in the other namespace.
func (s *sockets) produce(ns *os.File, domain int, entered chan<- error) {
	runtime.LockOSThread()
	err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
	ns.Close()
	entered <- err
	if err != nil {
		return
	}
	defer close(s.fds)
	for {
		fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		select {
		case s.fds <- socket{fd, err}:
		case <-s.stop:
			if err == nil {
				unix.Close(fd)
			}
			return
		}
	}
}

func (s *sockets) close() {
	close(s.stop)
	for k := range s.fds {
		if k.err == nil {
			unix.Close(k.fd)
		}
	}
	s.root.Close()
}

// dial opens a connection. If the backlog of the listener is full, dial waits until the deadline.
func (s *sockets) dial(t target, deadline time.Time) (*os.File, error) {
	k := <-s.fds
	if k.err != nil {
		return nil, k.err
	}
	if t.path != "" {
		return s.dialUnix(k.fd, t.path, deadline)
	}
	if err := unix.SetNonblock(k.fd, true); err != nil {
		unix.Close(k.fd)
		return nil, err
	}
	f := os.NewFile(uintptr(k.fd), t.addr.String())
	if err := connect(f, sockaddr(t), deadline); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// The function connect calls connect(2) on a non-blocking socket, waits until the socket is writable, and returns the error
// in SO_ERROR.
func connect(f *os.File, to unix.Sockaddr, deadline time.Time) error {
	if err := f.SetDeadline(deadline); err != nil {
		return err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	started := false
	err = raw.Write(func(fd uintptr) bool {
		if !started {
			started = true
			result = unix.Connect(int(fd), to)
			return !errors.Is(result, unix.EINPROGRESS)
		}
		var soerr int
		soerr, result = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if result == nil && soerr != 0 {
			result = unix.Errno(soerr)
		}
		if result != nil {
			return true
		}
		// The event may be the EPOLLHUP that a socket reports before connect(2) (epoll(7)). In this case, SO_ERROR has no
		// error, but the socket has no peer yet.
		_, err := unix.Getpeername(int(fd))
		return err == nil
	})
	if err != nil {
		return err
	}
	return result
}

// dialUnix connects a blocking socket. If the backlog is full, a non-blocking socket would get EAGAIN (unix(7)), and would
// get no event when the backlog has room again. The path is resolved below the root of the machine, so that absolute links
// (/var/run) lead to files of the machine.
func (s *sockets) dialUnix(fd int, path string, deadline time.Time) (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		unix.Close(fd)
		return nil, err
	}
	at, err := unix.Openat2(int(s.root.Fd()), path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return fail(err)
	}
	defer unix.Close(at)
	left := max(time.Until(deadline), time.Millisecond)
	tv := unix.NsecToTimeval(left.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return fail(err)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(at)})
	if errors.Is(err, unix.EAGAIN) { // SO_SNDTIMEO has passed (socket(7))
		err = os.ErrDeadlineExceeded
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return fail(err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func sockaddr(t target) unix.Sockaddr {
	if t.addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(t.addr.Port()), Addr: t.addr.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(t.addr.Port()), Addr: t.addr.Addr().As16()}
}

func openPath(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
