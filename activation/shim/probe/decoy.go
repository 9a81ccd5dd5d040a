package probe

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// decoy makes the socket that replaces a socket of the program. It is bound to loopback (or to a random abstract name),
// listens if it is a stream, and drops all packets. It has the port that the program asked for, since some programs, such as
// Node's cluster module, check the port and end if it differs. If this port is not free, it has another one.
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
	// Some kernels refuse a filter to users without capabilities (seen on Linux 6.18). Then the decoy has no filter: during
	// the second that a probe takes, no client connects to its unusual address.
	if err = dropPackets(fd); err != nil && err != unix.EPERM {
		return -1, err
	}
	if family == unix.AF_INET6 {
		// The decoy binds a mapped IPv4 address, which net.ipv6.bindv6only must not prevent.
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
		// Not 127.0.0.1, which another program may want to bind.
		return &unix.SockaddrInet4{Addr: [4]byte{127, 77, 77, 77}, Port: int(port)}
	case unix.AF_INET6:
		// IPv6 has only one loopback address, which other programs and clients use. So use the mapped IPv4 address.
		return &unix.SockaddrInet6{Addr: [16]byte{10: 0xff, 0xff, 127, 77, 77, 77}, Port: int(port)}
	}
	return &unix.SockaddrUnix{} // autobind, unix(7)
}

// dropPackets makes the socket drop every packet by the filter "ret 0", so the kernel does not answer a SYN.
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
