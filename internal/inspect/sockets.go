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

// Address is the address of a listener: a TCP port, on all addresses if Host is the zero Addr, or the path of a Unix
// socket. The path of an abstract socket is "@name".
type Address struct {
	Host netip.Addr
	Port uint16
	Path string
}

// Queue is the accept queue of a listener: Depth connections wait in it, and it takes at most Limit.
type Queue struct{ Depth, Limit int }

// Sockets are the sockets of the machine at one moment.
type Sockets struct {
	listening   map[Address]Queue
	shut        map[Address]bool     // listeners that were shut down
	tcp         bool                 // whether the kernel lists TCP sockets
	connections map[Address][]uint64 // inodes, by the local address
	listeners   map[uint64]Address   // TCP listeners, by inode
	files       map[string][]bound   // listeners, by the path of their file
}

// Look reads the listeners and connections of the machine from the kernel. It does not need root.
func Look() (*Sockets, error) {
	conn, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s := &Sockets{
		listening: map[Address]Queue{}, shut: map[Address]bool{}, connections: map[Address][]uint64{},
		listeners: map[uint64]Address{}, files: map[string][]bound{},
	}
	ask := func(list []sockdiag.Socket, err error, take func(sockdiag.Socket)) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // the kernel does not have this family, or has no sock_diag for it
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

// addressOf returns the local address of a socket. A connection over IPv4 to a listener of both families has an IPv4
// address.
func addressOf(s sockdiag.Socket) Address {
	var host netip.Addr
	switch s.Family {
	case unix.AF_INET:
		host = netip.AddrFrom4([4]byte(s.Addr[:4]))
	case unix.AF_INET6:
		host = netip.AddrFrom16(s.Addr).Unmap()
	default:
		// The path of a socket file ends in NUL if the program that bound it passed the NUL, as most do. An abstract name
		// begins with NUL and may contain more.
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

// listener adds the queue of a listener to its address. An address has several listeners if both families have their own,
// or with SO_REUSEPORT.
func (s *Sockets) listener(l sockdiag.Socket) {
	at := addressOf(l)
	if l.File != 0 {
		s.files[at.Path] = append(s.files[at.Path], bound{l.Ino, l.File})
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

// ListenersAmong returns the addresses of the TCP listeners among sockets, which are given by inode. Each address occurs
// once, and they are sorted by port. A listener on all addresses has no Host.
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

// connection records a connection. It ignores connections without an inode, which wait in an accept queue, and Unix sockets
// without a name, which do not belong to a server.
func (s *Sockets) connection(c sockdiag.Socket) {
	at := addressOf(c)
	if c.Ino != 0 && at != (Address{}) {
		s.connections[at] = append(s.connections[at], c.Ino)
	}
}

// Queue returns the accept queue of the listener at an address, and false if there is no listener.
func (s *Sockets) Queue(at Address) (Queue, bool) {
	q, ok := s.listening[at.normal()]
	return q, ok
}

// Silent reports whether the listener that should be there was shut down. It returns false for a path without a listener.
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

// Connections returns the inodes of the connections that were accepted from a listener. A connection to an address that has
// its own listener belongs to that listener, and not to the listener on all addresses.
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

// bound is a listener on a file: its inode, and the lower 32 bits of the inode number of the file.
type bound struct {
	socket uint64
	file   uint32
}

// Lost reports whether PID 1 listens on the path but clients cannot reach the listener, because the file is gone or belongs
// to another socket. Lost returns false if this cannot be determined.
func (s *Sockets) Lost(path string, h Host) bool {
	if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
		path = "/run/" + rest // systemd opens it under this path
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
		// Another process has bound the path, too. Only root can find out which listener belongs to PID 1.
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

// ListenAgain makes PID 1's TCP sockets listen again after they were shut down. It returns how many of them listen again.
// It needs root.
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
