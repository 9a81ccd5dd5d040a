package adopt

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// Listener is an inherited socket. It replaces the program's socket in the bind(2) that Want describes.
type Listener struct {
	FD    int
	Name  string
	Want  contract.Bind
	Kind  target.Kind
	Addr  target.Addr // the address of the socket
	Inode uint64

	backlog int  // length of the accept queue, for a TCP listener
	ready   bool // the program has called listen, or has bound a datagram socket
	bound   bool // the program has called bind, and has not removed the path afterwards
}

// ErrNoSockets is the error of Receive when systemd has passed no socket.
var ErrNoSockets = sd.ErrNotActivated

// Receive returns the descriptors that systemd has passed to this process (sd_listen_fds(3)), makes them close-on-exec and
// unsets LISTEN_*. The notifier keeps the descriptors, and the program does not inherit them.
func Receive() ([]sd.Passed, error) { return sd.Receive(sd.System()) }

// Inspect returns a Listener for each passed descriptor. Want is the bind that the flag --map names for this descriptor.
// Without --map, Want has the kind and the port or path of the descriptor itself.
func Inspect(passed []sd.Passed, maps []contract.Map) ([]Listener, error) {
	ls := make([]Listener, len(passed))
	names := make([]string, len(passed))
	for i, p := range passed {
		l, err := inspect(p)
		if err != nil {
			return nil, errors.New("inherited descriptor " + strconv.Itoa(p.FD) + " (" + strconv.Quote(p.Name) + "): " + err.Error())
		}
		ls[i], names[i] = l, p.Name
	}
	mapped := make([]bool, len(passed))
	for _, m := range maps {
		i, err := m.Find(names)
		if err != nil {
			return nil, err
		}
		if mapped[i] {
			return nil, errors.New("two maps for descriptor " + strconv.Quote(names[i]))
		}
		mapped[i] = true
		ls[i].Want = m.Bind
		if !compatible(ls[i].Kind, m.Bind.Kind) {
			return nil, errors.New("a socket " + ls[i].Public() + " cannot replace the socket of a bind to " + m.Bind.String())
		}
	}
	return ls, nil
}

func inspect(p sd.Passed) (l Listener, err error) {
	l = Listener{FD: p.FD, Name: p.Name}
	var st unix.Stat_t
	if err := unix.Fstat(p.FD, &st); err != nil {
		return l, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return l, errors.New("not a socket")
	}
	l.Inode = st.Ino
	typ, err := unix.GetsockoptInt(p.FD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return l, err
	}
	sa, err := unix.Getsockname(p.FD)
	if err != nil {
		return l, err
	}
	if err := l.describe(sa, typ); err != nil {
		return l, err
	}
	if l.Kind == target.TCP4 || l.Kind == target.TCP6 {
		l.backlog = backlogOf(p.FD)
	}
	return l, nil
}

// The method describe sets Addr and Kind to those of the socket, and sets Want to a bind with the kind of the socket and
// with its port or path.
func (l *Listener) describe(sa unix.Sockaddr, typ int) error {
	stream := typ == unix.SOCK_STREAM
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		l.Addr.Family, l.Addr.Port = unix.AF_INET, uint16(sa.Port)
		copy(l.Addr.IP[:], sa.Addr[:])
		l.Kind = pick(stream, target.TCP4, target.UDP4)
	case *unix.SockaddrInet6:
		l.Addr.Family, l.Addr.Port, l.Addr.Zone = unix.AF_INET6, uint16(sa.Port), sa.ZoneId
		l.Addr.IP = sa.Addr
		l.Kind = pick(stream, target.TCP6, target.UDP6)
	case *unix.SockaddrUnix:
		l.Addr.Family = unix.AF_UNIX
		path := sa.Name
		if len(path) > 0 && path[0] == '@' {
			path = "\x00" + path[1:]
		}
		l.Addr.SetPath(path)
		l.Kind = pick(stream, target.UnixStream, target.UnixOther)
		l.Want = contract.Bind{Kind: contract.Unix, Path: sa.Name}
		return nil
	default:
		return errors.New("a socket of a family that cannot be adopted")
	}
	if typ != unix.SOCK_STREAM && typ != unix.SOCK_DGRAM {
		return errors.New("neither a stream nor a datagram socket")
	}
	l.Want = contract.Bind{Kind: kindOf(l.Kind), Port: l.Addr.Port}
	return nil
}

func pick(stream bool, a, b target.Kind) target.Kind {
	if stream {
		return a
	}
	return b
}

// The function compatible reports whether a listener of kind k can replace the socket of a bind. Stream sockets can
// replace stream sockets, and datagram sockets can replace datagram sockets. A Unix stream listener can replace a TCP
// socket.
func compatible(k target.Kind, bind contract.Kind) bool {
	switch bind {
	case contract.TCP, contract.TCP4, contract.TCP6:
		return k == target.TCP4 || k == target.TCP6 || k == target.UnixStream
	case contract.UDP, contract.UDP4, contract.UDP6:
		return k == target.UDP4 || k == target.UDP6
	}
	return k != target.UDP4 && k != target.UDP6
}

// Public returns the kind and the address of the socket, as in "tcp4 0.0.0.0:80".
func (l *Listener) Public() string { return kindOf(l.Kind).String() + " " + l.Addr.String() }

var kinds = [...]contract.Kind{
	target.TCP4: contract.TCP4, target.TCP6: contract.TCP6, target.UDP4: contract.UDP4, target.UDP6: contract.UDP6,
	target.UnixStream: contract.Unix, target.UnixOther: contract.Unix,
}

// kindOf returns the kind of the binds that a socket of kind k makes, and 0 for [target.Unknown].
func kindOf(k target.Kind) contract.Kind { return kinds[k] }

// datagram reports whether this is a datagram socket, on which the program does not call listen(2).
func (l *Listener) datagram() bool {
	return l.Kind == target.UDP4 || l.Kind == target.UDP6 || l.Kind == target.UnixOther
}
