package inspect

import (
	"cmp"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/sockdiag"
)

// Address is what a listener listens on: a TCP port, on all addresses when Host is the zero Addr, or the path of a unix
// socket, "@name" in the abstract name space.
type Address struct {
	Host netip.Addr
	Port uint16
	Path string
}

// Queue is the accept queue of a listener: how many connections wait in it, and how many it takes.
type Queue struct{ Depth, Limit int }

// Sockets is one look at the sockets of the machine.
type Sockets struct {
	listening   map[Address]Queue
	shut        map[Address]bool     // listeners that were shut down
	tcp         bool                 // the kernel tells of TCP sockets
	connections map[Address][]uint64 // inodes, by the local address
	listeners   map[uint64]Address   // TCP listeners, by inode
	files       map[string][]bound   // listeners, by the path of their file
}

// Look asks the kernel for the listeners and the connections of the machine. It needs no root.
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
			return nil // the kernel has no such family, or no diag for it
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

// addressOf is the local address; that of an IPv4 connection to a listener of both families is the IPv4 address.
func addressOf(s sockdiag.Socket) Address {
	var host netip.Addr
	switch s.Family {
	case unix.AF_INET:
		host = netip.AddrFrom4([4]byte(s.Addr[:4]))
	case unix.AF_INET6:
		host = netip.AddrFrom16(s.Addr).Unmap()
	default:
		// The name of a file ends in NUL, as in most programs that bind one; an abstract name may hold NULs, and begins with one.
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

// listener adds the queues of listeners on one address: those of both families apart, or of SO_REUSEPORT.
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

// ListenersAmong returns the addresses of the TCP listeners among sockets, given by inode: each address once, by port. A
// listener for all addresses has no host.
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

// connection leaves out what nobody has accepted yet, which is in a queue, and unix sockets without a name, which are no
// server's.
func (s *Sockets) connection(c sockdiag.Socket) {
	at := addressOf(c)
	if c.Ino != 0 && at != (Address{}) {
		s.connections[at] = append(s.connections[at], c.Ino)
	}
}

// Queue is false when nothing listens there.
func (s *Sockets) Queue(at Address) (Queue, bool) {
	q, ok := s.listening[at.normal()]
	return q, ok
}

// Silent reports whether the listener that must be there was shut down. For a path without a listener Silent returns false.
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

// Connections are the inodes of the connections that were accepted from a listener. Those to an address that has a
// listener of its own belong to that one, not to the one for all addresses.
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
