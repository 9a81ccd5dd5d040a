// Package relisten makes TCP listeners listen again that a worker has shut down.
//
// shutdown(2) on a listener ends listening in every process that has the socket. The socket stays bound: connect(2) with
// AF_UNSPEC clears the state of the shutdown, and listen(2) makes it listen again, so PID 1 and the workers keep their
// sockets. The notifier of an adopted program does this with its descriptor of the listener (package adopt). For other
// programs this package duplicates the descriptor of PID 1, as root.
//
// # Invariants
//
//   - Only a TCP socket is changed that is bound to a given address, is not connected, and does not listen or was shut down.
//   - A Unix socket cannot listen again, since the kernel keeps RCV_SHUTDOWN until the socket is closed.
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

// Parse parses an address in the form of ListenStream=. A port alone means all addresses.
func Parse(s string) (netip.AddrPort, error) {
	if port, err := strconv.ParseUint(s, 10, 16); err == nil && port > 0 {
		return netip.AddrPortFrom(netip.Addr{}, uint16(port)), nil
	}
	at, err := netip.ParseAddrPort(s)
	if err != nil || at.Port() == 0 {
		return at, errors.New("want PORT or ADDRESS:PORT, not \"" + s + "\"")
	}
	return at, nil
}

// Again makes the sockets of process pid listen again that are bound to one of the addresses and no longer listen. It
// returns the number of these sockets. It needs the right to attach to the process (ptrace(2)), which root has for PID 1.
func Again(pid int, addresses []netip.AddrPort) (int, error) {
	healthy, err := healthyListeners()
	if err != nil {
		return 0, err
	}
	fds, err := find(pid, addresses, healthy)
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

// Keep makes the listeners of process pid listen again as soon as they are shut down, until the process of the pidfd until
// ends. It calls ready once it watches the listeners.
func Keep(pid int, addresses []netip.AddrPort, until int, ready func()) error {
	fds, err := find(pid, addresses, nil)
	if err != nil {
		return err
	}
	polled := []unix.PollFd{{Fd: int32(until), Events: unix.POLLIN}}
	for _, fd := range fds {
		defer unix.Close(fd)
		polled = append(polled, unix.PollFd{Fd: int32(fd)}) // poll(2) always reports POLLHUP
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

// find returns descriptors of the sockets of a process that are bound to one of the addresses. It skips the inodes in
// without.
func find(pid int, addresses []netip.AddrPort, without map[uint64]bool) (found []int, err error) {
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
		if err != nil || !isSocket || without[inode] {
			continue
		}
		fd, err := unix.PidfdGetfd(process, number, 0)
		if errors.Is(err, unix.EBADF) {
			continue // the process has closed it
		}
		if err != nil {
			return found, fmt.Errorf("pidfd_getfd of process %d: %w", pid, err)
		}
		if oneOf(fd, addresses) {
			found = append(found, fd)
		} else {
			unix.Close(fd)
		}
	}
	return found, nil
}

// healthyListeners returns the inodes of the sockets that listen and were not shut down for receiving.
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

// listen makes a socket a listener again.
func listen(fd int) error {
	none := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4)
	if e != 0 {
		return e
	}
	return unix.Listen(fd, contract.Backlog)
}

// oneOf reports whether a TCP socket is bound to one of the addresses and not connected.
func oneOf(fd int, addresses []netip.AddrPort) bool {
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

func anyAddress(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
