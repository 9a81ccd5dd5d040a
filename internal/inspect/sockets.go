package inspect

import (
	"cmp"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/relisten"
	"github.com/clusterctl/clusterctl/activation/shim/sockdiag"
)

// Address is the address of a listener. For a Unix socket, this is a path, and for TCP, a host and a port. If Host is the
// zero Addr, the listener has the port on all addresses. The path of an abstract socket is "@name".
type Address struct {
	Host netip.Addr
	Port uint16
	Path string
}

// Queue is the accept queue of a listener: Depth connections are waiting, and at most Limit can wait.
type Queue struct{ Depth, Limit int }

// Sockets is a snapshot of the sockets of the machine.
type Sockets struct {
	listening   map[Address]Queue
	shut        map[Address]bool        // listeners that were shut down
	tcp         bool                    // whether the kernel lists TCP sockets
	connections map[Address][]uint64    // inodes, by the local address
	listeners   map[uint64]Address      // TCP listeners, by inode
	files       map[string][]socketFile // listeners, by the path of their file
}

// Look reads the listeners and connections of the machine. It does not need root.
func Look() (*Sockets, error) {
	conn, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s := &Sockets{
		listening: map[Address]Queue{}, shut: map[Address]bool{}, connections: map[Address][]uint64{},
		listeners: map[uint64]Address{}, files: map[string][]socketFile{},
	}
	ask := func(list []sockdiag.Socket, err error, take func(sockdiag.Socket)) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // the kernel does not support this family, or sock_diag for it
		}
		for _, one := range list {
			take(one)
		}
		return err
	}
	const open = sockdiag.Established | sockdiag.CloseWait
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		list, err := conn.TCP(family, sockdiag.Listen, 0, false)
		s.tcp = s.tcp || err == nil
		if err = ask(list, err, s.listener); err != nil {
			return nil, err
		}
		list, err = conn.TCP(family, open, 0, false)
		if err = ask(list, err, s.connection); err != nil {
			return nil, err
		}
	}
	list, err := conn.Unix(sockdiag.Listen)
	if err = ask(list, err, s.listener); err != nil {
		return nil, err
	}
	list, err = conn.Unix(sockdiag.Established)
	return s, ask(list, err, s.connection)
}

// addressOf returns the local address of a socket. An IPv4-mapped IPv6 address becomes an IPv4 address.
func addressOf(s sockdiag.Socket) Address {
	var host netip.Addr
	switch s.Family {
	case unix.AF_INET:
		host = netip.AddrFrom4([4]byte(s.Addr[:4]))
	case unix.AF_INET6:
		host = netip.AddrFrom16(s.Addr).Unmap()
	default:
		// Most programs pass a trailing NUL when they bind a path, and the name then ends with this NUL. An abstract name
		// begins with a NUL, and may contain more NULs.
		name := s.Name
		if name != "" && name[0] == 0 {
			name = "@" + name[1:]
		} else {
			name = strings.TrimRight(name, "\x00")
		}
		return Address{Path: name}
	}
	if host.IsUnspecified() {
		host = netip.Addr{}
	}
	return Address{Host: host, Port: s.Port}
}

// The method listener adds a listener. Several listeners can have the same address, for example with SO_REUSEPORT. The
// address then has the sum of their queues.
func (s *Sockets) listener(l sockdiag.Socket) {
	at := addressOf(l)
	if l.File != 0 {
		s.files[at.Path] = append(s.files[at.Path], socketFile{l.Ino, l.File})
	}
	if l.Shut {
		s.shut[at] = true
		return
	}
	q := s.listening[at]
	s.listening[at] = Queue{q.Depth + int(l.Unread), q.Limit + int(l.Unsent)}
	if l.Family != unix.AF_UNIX {
		s.listeners[l.Ino] = at
	}
}

// ListenersAmong returns the addresses of the sockets with these inodes that are TCP listeners. The addresses are unique
// and sorted by port. The Host of a listener on all addresses is the zero Addr.
func (s *Sockets) ListenersAmong(inodes map[uint64]bool) []Address {
	var list []Address
	for ino := range inodes {
		if at, ok := s.listeners[ino]; ok && !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(a, b Address) int { return cmp.Or(cmp.Compare(a.Port, b.Port), a.Host.Compare(b.Host)) })
	return list
}

// The method connection adds a connection. It ignores a connection without an inode, which is still in an accept queue, and
// a Unix socket without a name, which is the client side.
func (s *Sockets) connection(c sockdiag.Socket) {
	at := addressOf(c)
	if c.Ino != 0 && at != (Address{}) {
		s.connections[at] = append(s.connections[at], c.Ino)
	}
}

// Queue returns the accept queue of the listener at an address, and false if there is no such listener.
func (s *Sockets) Queue(at Address) (Queue, bool) {
	q, ok := s.listening[at.normal()]
	return q, ok
}

// Silent reports whether the listener at an address was shut down, or whether no socket listens on the TCP port. For a path
// without a listener, it returns false.
func (s *Sockets) Silent(at Address) bool {
	at = at.normal()
	_, ok := s.listening[at]
	return s.shut[at] || s.tcp && at.Path == "" && !ok
}

func (a Address) normal() Address {
	if a.Host.IsUnspecified() {
		a.Host = netip.Addr{}
	}
	return a
}

// Connections returns the inodes of the accepted connections of the listener at an address. If an address has its own
// listener, its connections do not belong to the listener on all addresses.
func (s *Sockets) Connections(of Address) []uint64 {
	of = of.normal()
	if of.Path != "" || of.Host.IsValid() {
		return s.connections[of]
	}
	var all []uint64
	for at, inodes := range s.connections {
		if at.Path != "" || at.Port != of.Port {
			continue
		}
		if _, own := s.listening[at]; !own {
			all = append(all, inodes...)
		}
	}
	return all
}

// socketFile is a listener on a path. The field socket has the inode number of the listener. The field file has the lower 32
// bits of the inode number of the socket file.
type socketFile struct {
	socket uint64
	file   uint32
}

// Lost reports whether PID 1 listens on a path, but clients cannot reach the listener, because the file was removed or
// belongs to another socket. If Lost cannot determine this, it returns false.
func (s *Sockets) Lost(path string, h Host) bool {
	if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
		path = "/run/" + rest // systemd binds the socket to this path
	}
	listeners := s.files[path]
	if len(listeners) == 0 {
		return false
	}
	info, err := os.Lstat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Type() != fs.ModeSocket {
		return true
	}
	if len(listeners) > 1 {
		// Another process has also bound the path. Only root can find out which listener belongs to PID 1.
		held, ok := h.SocketsOf([]int{1})
		if !ok {
			return false
		}
		for _, l := range listeners {
			if held[l.socket] && l.file == uint32(st.Ino) {
				return false
			}
		}
		return true
	}
	return listeners[0].file != uint32(st.Ino)
}

// ListenAgain repairs TCP listeners of PID 1 after they were shut down, so that they listen again. It returns the number
// of repaired listeners. It needs root.
func ListenAgain(listeners []Address) (int, error) {
	var ports []netip.AddrPort
	for _, l := range listeners {
		if l.Path == "" {
			ports = append(ports, netip.AddrPortFrom(l.Host, l.Port))
		}
	}
	if len(ports) == 0 {
		return 0, nil
	}
	return relisten.Again(1, ports)
}
