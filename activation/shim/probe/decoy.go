package probe

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// decoy makes the socket that the program gets instead of its own: bound on
// loopback (or to a random abstract name), listening if it is a stream, and deaf.
// It has the program's port where that is free, and any other where it is not:
// some programs look, Node's cluster module for one, and end if it differs.
func decoy(k target.Kind, port uint16, nonBlocking bool) (fd int, err error) {
	family, typ := unix.AF_INET, unix.SOCK_STREAM
	switch k {
	case target.TCP6, target.UDP6:
		family = unix.AF_INET6
	case target.UnixStream, target.UnixOther:
		family = unix.AF_UNIX
	}
	if k == target.UDP4 || k == target.UDP6 || k == target.UnixOther {
		typ = unix.SOCK_DGRAM
	}
	flags := unix.SOCK_CLOEXEC
	if nonBlocking {
		flags |= unix.SOCK_NONBLOCK
	}
	fd, err = unix.Socket(family, typ|flags, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	// Some kernels refuse a filter to users without capabilities (seen on Linux 6.18). An address of loopback that nobody
	// knows is deaf enough for the second that a probe takes.
	if err = deafen(fd); err != nil && err != unix.EPERM {
		return -1, err
	}
	if family == unix.AF_INET6 {
		// For an address of IPv4, whatever net.ipv6.bindv6only says.
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return -1, err
		}
	}
	if unix.Bind(fd, loopback(family, port)) != nil {
		if err = unix.Bind(fd, loopback(family, 0)); err != nil {
			return -1, err
		}
	}
	if typ == unix.SOCK_STREAM {
		err = unix.Listen(fd, 1)
	}
	return fd, err
}

func loopback(family int, port uint16) unix.Sockaddr {
	switch family {
	case unix.AF_INET:
		// Not 127.0.0.1, where a sibling of the program may want to be.
		return &unix.SockaddrInet4{Addr: [4]byte{127, 77, 77, 77}, Port: int(port)}
	case unix.AF_INET6:
		// IPv6 has but one address of loopback, where others may be, and clients look: the same one as a mapped address.
		return &unix.SockaddrInet6{Addr: [16]byte{10: 0xff, 0xff, 127, 77, 77, 77}, Port: int(port)}
	}
	return &unix.SockaddrUnix{} // autobind, unix(7)
}

// deafen makes the socket drop every packet: the filter "ret 0" keeps nothing of
// any, so a SYN stays unanswered.
func deafen(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	prog := unix.SockFprog{Len: 1, Filter: &drop[0]}
	_, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		uintptr(unsafe.Pointer(&prog)), unsafe.Sizeof(prog), 0)
	if e != 0 {
		return e
	}
	return nil
}
