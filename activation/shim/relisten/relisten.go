// Package relisten repairs shared TCP listeners: if a worker shuts a listener down with shutdown(2), the package makes the
// socket listen again.
//
// After shutdown(2) in one process, a listener no longer listens in any process. But the socket is still bound: connect(2)
// with AF_UNSPEC clears the state of the shutdown, and listen(2) makes the socket listen again. So PID 1 and the workers do
// not need a new socket. For an adopted program, the notifier repairs the listener through its own descriptor (package
// adopt). For other programs, this package runs as root and duplicates the descriptor of PID 1.
//
// # Invariants
//
//   - The package only changes TCP sockets that are bound to a given address and not connected, and that were shut down or
//     do not listen.
//   - The package does not repair Unix sockets, because the kernel keeps their RCV_SHUTDOWN until they are closed.
package relisten

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/sockdiag"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// Parse parses a port or ADDRESS:PORT, as in ListenStream=. A port alone means all addresses.
func Parse(s string) (netip.AddrPort, error) {
	if port, err := strconv.ParseUint(s, 10, 16); err == nil && port > 0 {
		return netip.AddrPortFrom(netip.Addr{}, uint16(port)), nil
	}
	at, err := netip.ParseAddrPort(s)
	if err != nil || at.Port() == 0 {
		return at, fmt.Errorf("want PORT or ADDRESS:PORT, not %q", s)
	}
	return at, nil
}

// Again repairs the listeners of process pid that are bound to one of the addresses and no longer listen, and returns their
// number. Again needs the right to attach to the process (ptrace(2)), which root has for PID 1.
func Again(pid int, addresses []netip.AddrPort) (int, error) {
	healthy, err := healthyListeners()
	if err != nil {
		return 0, err
	}
	fds, err := boundSockets(pid, addresses, healthy)
	n := 0
	errs := []error{err}
	for _, fd := range fds {
		if err := listen(fd); err != nil {
			errs = append(errs, fmt.Errorf("listening again: %w", err))
		} else {
			n++
		}
		unix.Close(fd)
	}
	return n, errors.Join(errs...)
}

// Watch repairs the listeners of process pid as soon as they are shut down. The parameter worker is a pidfd, and Watch
// returns when the process of this pidfd ends. Watch calls the function ready before it waits for the first shutdown.
func Watch(pid int, addresses []netip.AddrPort, worker int, ready func()) error {
	fds, err := boundSockets(pid, addresses, nil)
	if err != nil {
		return err
	}
	polled := []unix.PollFd{{Fd: int32(worker), Events: unix.POLLIN}}
	for _, fd := range fds {
		defer unix.Close(fd)
		polled = append(polled, unix.PollFd{Fd: int32(fd)}) // after a shutdown, poll(2) reports POLLHUP
	}
	ready()
	for {
		if _, err := unix.Poll(polled, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
		if polled[0].Revents != 0 {
			return nil
		}
		for _, p := range polled[1:] {
			if p.Revents == 0 {
				continue
			}
			on, err := unix.GetsockoptInt(int(p.Fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
			if err == nil && on == 0 {
				err = listen(int(p.Fd))
			}
			if err != nil {
				return fmt.Errorf("listening again: %w", err)
			}
		}
	}
}

// boundSockets returns duplicates of the sockets that the process pid has bound to one of the addresses, without the sockets
// whose inodes are in skip.
func boundSockets(pid int, addresses []netip.AddrPort, skip map[uint64]bool) (found []int, err error) {
	directory := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open of process %d: %w", pid, err)
	}
	defer unix.Close(process)
	for _, e := range entries {
		number, _ := strconv.Atoi(e.Name())
		link, err := os.Readlink(filepath.Join(directory, e.Name()))
		inode, isSocket := target.ParseSocketLink([]byte(link))
		if err != nil || !isSocket || skip[inode] {
			continue
		}
		fd, err := unix.PidfdGetfd(process, number, 0)
		if errors.Is(err, unix.EBADF) {
			continue // the process has closed the descriptor
		}
		if err != nil {
			return found, fmt.Errorf("pidfd_getfd of process %d: %w", pid, err)
		}
		if isBound(fd, addresses) {
			found = append(found, fd)
		} else {
			unix.Close(fd)
		}
	}
	return found, nil
}

// healthyListeners returns the inodes of the sockets that listen. healthyListeners skips sockets that were shut down for
// receiving.
func healthyListeners() (map[uint64]bool, error) {
	conn, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	all, err := conn.Listening()
	healthy := make(map[uint64]bool)
	for inode, s := range all {
		healthy[inode] = !s.Shut
	}
	return healthy, err
}

// The function listen makes a socket listen again after a shutdown.
func listen(fd int) error {
	none := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4)
	if e != 0 {
		return e
	}
	return unix.Listen(fd, contract.Backlog)
}

// isBound reports whether a TCP socket is bound to one of the addresses and not connected.
func isBound(fd int, addresses []netip.AddrPort) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return false
	}
	if _, err := unix.Getpeername(fd); !errors.Is(err, unix.ENOTCONN) {
		return false
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	var at netip.AddrPort
	switch own := own.(type) {
	case *unix.SockaddrInet4:
		at = netip.AddrPortFrom(netip.AddrFrom4(own.Addr), uint16(own.Port))
	case *unix.SockaddrInet6:
		at = netip.AddrPortFrom(netip.AddrFrom16(own.Addr).Unmap(), uint16(own.Port))
	default:
		return false
	}
	for _, a := range addresses {
		if a.Port() == at.Port() && (a.Addr().WithZone("").Unmap() == at.Addr() || anyAddress(a.Addr()) && anyAddress(at.Addr())) {
			return true
		}
	}
	return false
}

// anyAddress reports whether the address means all addresses.
func anyAddress(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
