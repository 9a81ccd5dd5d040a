package probe

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// decoy returns a new socket that replaces a socket of the program. The decoy is bound to a loopback address, or to a
// random abstract name if it is a Unix socket. A decoy that is a stream socket listens. Every decoy drops all packets. The
// decoy has the requested port if this port is free, because some programs, such as Node's cluster module, end if the port
// differs.
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
	// Some kernels refuse a packet filter for users without capabilities (seen on Linux 6.18). A decoy without a filter is
	// acceptable, because clients do not connect to its unusual address during the second that a probe takes.
	if err = dropPackets(fd); err != nil && err != unix.EPERM {
		return -1, err
	}
	if family == unix.AF_INET6 {
		// The decoy binds an IPv4-mapped address. Such a bind fails if the socket has the option IPV6_V6ONLY.
		// The sysctl net.ipv6.bindv6only may have set this option.
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
		// Another program may bind 127.0.0.1, so use another loopback address.
		return &unix.SockaddrInet4{Addr: [4]byte{127, 77, 77, 77}, Port: int(port)}
	case unix.AF_INET6:
		// IPv6 has only one loopback address, which other programs and clients use. So use the IPv4-mapped form of the IPv4
		// address.
		return &unix.SockaddrInet6{Addr: [16]byte{10: 0xff, 0xff, 127, 77, 77, 77}, Port: int(port)}
	}
	return &unix.SockaddrUnix{} // autobind, unix(7)
}

// dropPackets attaches the filter "ret 0", which drops every packet, so the kernel does not respond to a SYN.
func dropPackets(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	prog := unix.SockFprog{Len: 1, Filter: &drop[0]}
	_, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		uintptr(unsafe.Pointer(&prog)), unsafe.Sizeof(prog), 0)
	if e != 0 {
		return e
	}
	return nil
}
