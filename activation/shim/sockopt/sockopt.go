// Package sockopt copies socket options. An adopted program sets options on its own socket before bind(2), and then gets the
// shared listener instead of its own socket. Without the copy, the options would have no effect.
//
// The connections of a TCP listener inherit its options: the kernel copies the whole socket for each connection
// (sk_clone_lock, tcp_create_openreq_child). So a program can set TCP_NODELAY once, on its listener, for all its
// connections.
//
// An option counts as set if its value differs from the value on a new socket of the same kind. All other options of the
// listener keep their values, which come from the socket unit.
//
// Read and Apply use raw system calls and do not allocate, because the notifier of package adopt calls them after a fork.
package sockopt

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Set holds the options that a program has set on a socket, and their values. The zero Set is empty.
type Set struct {
	has    [len(options)]bool
	values [len(options)][maxSize]byte
}

// Read stores the options of the socket fd that differ from the options of a new socket of the same kind. Read skips options
// that the kernel does not support for this kind of socket.
func (s *Set) Read(fd int) unix.Errno {
	var domain, typ, proto int
	for _, o := range [...]struct {
		number int
		value  *int
	}{{unix.SO_DOMAIN, &domain}, {unix.SO_TYPE, &typ}, {unix.SO_PROTOCOL, &proto}} {
		var v [maxSize]byte
		if e := get(fd, &option{level: unix.SOL_SOCKET, number: o.number, size: 4}, &v); e != 0 {
			return e
		}
		*o.value = int(*integer(&v))
	}
	fresh, _, e := unix.RawSyscall(unix.SYS_SOCKET, uintptr(domain), uintptr(typ|unix.SOCK_CLOEXEC), uintptr(proto))
	if e != 0 {
		return e
	}
	for i := range options {
		o, v := options[i], &s.values[i]
		var initial [maxSize]byte
		*v = [maxSize]byte{}
		s.has[i] = get(fd, &o, v) == 0 && get(int(fresh), &o, &initial) == 0 && *v != initial
	}
	unix.RawSyscall(unix.SYS_CLOSE, fresh, 0, 0)
	return 0
}

// Apply sets the options on the socket fd. If options cannot be set, Apply returns the name and the error of the first such
// option, but still sets the other options. Apply skips options that the socket does not support, because a Unix socket
// may replace a TCP socket.
func (s *Set) Apply(fd int) (failed string, e unix.Errno) {
	for i := range options {
		if !s.has[i] {
			continue
		}
		o := options[i]
		switch got := setOption(fd, &o, &s.values[i]); got {
		case 0, unix.ENOPROTOOPT, unix.EOPNOTSUPP:
		default:
			if e == 0 {
				failed, e = o.name, got
			}
		}
	}
	return failed, e
}

// Values returns the options whose value is an integer or a text, in a fixed order. For the size of a buffer, Values returns
// the value that the program has set, which is half of the value that the kernel reports.
func (s *Set) Values() []contract.SocketOption {
	var list []contract.SocketOption
	for i := range options {
		o, v := options[i], &s.values[i]
		switch {
		case !s.has[i]:
		case o.number == unix.TCP_CONGESTION && o.level == unix.IPPROTO_TCP:
			list = append(list, contract.SocketOption{Name: o.name, Text: unix.ByteSliceToString(v[:])})
		case o.size == 4 && o.buffer():
			list = append(list, contract.SocketOption{Name: o.name, Number: int64(*integer(v)) / 2})
		case o.size == 4:
			list = append(list, contract.SocketOption{Name: o.name, Number: int64(*integer(v))})
		}
	}
	return list
}

// The method buffer reports whether the option is the size of a buffer.
func (o *option) buffer() bool {
	return o.level == unix.SOL_SOCKET && (o.number == unix.SO_RCVBUF || o.number == unix.SO_SNDBUF)
}

func integer(v *[maxSize]byte) *int32 { return (*int32)(unsafe.Pointer(v)) }

func get(fd int, o *option, v *[maxSize]byte) unix.Errno {
	size := o.size
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.number),
		uintptr(unsafe.Pointer(v)), uintptr(unsafe.Pointer(&size)), 0)
	return e
}

// setOption sets one option. For the size of a buffer, setOption first tries SO_RCVBUFFORCE or SO_SNDBUFFORCE: with
// CAP_NET_ADMIN, the program may have set a size above net.core.rmem_max or wmem_max.
func setOption(fd int, o *option, v *[maxSize]byte) unix.Errno {
	if !o.buffer() {
		return setRaw(fd, o, v)
	}
	half, force := *v, option{level: o.level, number: unix.SO_RCVBUFFORCE, size: o.size}
	*integer(&half) /= 2
	if o.number == unix.SO_SNDBUF {
		force.number = unix.SO_SNDBUFFORCE
	}
	if setRaw(fd, &force, &half) == 0 {
		return 0
	}
	return setRaw(fd, o, &half)
}

func setRaw(fd int, o *option, v *[maxSize]byte) unix.Errno {
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.number),
		uintptr(unsafe.Pointer(v)), uintptr(o.size), 0)
	return e
}
