package activation

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// ErrNotActivated says that systemd passed nothing to this process. The error that
// wraps it says why, as far as can be known: most often that the program was started
// by hand, or by a launcher (npm, a shell) that did not exec it.
var ErrNotActivated = sd.ErrNotActivated

// ErrNoListener says that descriptors were passed, but none for what was asked.
var ErrNoListener = errors.New("no such listener was passed")

// inherited is what systemd passed. The one variable of the package: the descriptors
// exist once in a process and their variables are unset when read, so a second reader
// needs what the first one found. It is never assigned again.
var inherited = sync.OnceValues(func() (*set, error) { return take(sd.System()) })

// Listeners returns the stream listeners that systemd passed, by the name they have
// in FileDescriptorName= (systemd.socket(5)), those of one name in the order of their
// socket unit. Datagram sockets are left to [PacketConns].
//
// The error wraps [ErrNotActivated] when nothing was passed to this process. A passed
// descriptor that is neither listener nor datagram socket is an error that names its
// number and its name; [Files] returns it all the same.
//
// The map is the caller's own. The listeners are the same at each call, and the caller
// may close them, which stops accepting in this process only.
func Listeners() (map[string][]net.Listener, error) {
	s, err := inherited()
	if err != nil {
		return nil, err
	}
	return s.listeners()
}

// PacketConns returns the datagram sockets that systemd passed, by name. Everything
// else is as with [Listeners], which leaves stream listeners to it in turn.
func PacketConns() (map[string][]net.PacketConn, error) {
	s, err := inherited()
	if err != nil {
		return nil, err
	}
	return s.packetConns()
}

// Files returns a duplicate of everything that systemd passed, by name, whatever it
// is: for descriptors of other kinds (FIFOs, the file descriptor store), and for
// handing listeners to a child. They are new at each call and the caller has to close
// them. Their Fd method leaves O_NONBLOCK as it is.
func Files() (map[string][]*os.File, error) {
	s, err := inherited()
	if err != nil {
		return nil, err
	}
	return s.files()
}

// Listen returns the one listener that systemd passed under name, and without
// systemd, an ordinary one: net.Listen(network, address), which are not looked at
// otherwise.
//
// It never falls back when anything was passed: a worker of many that silently opens
// a port of its own would be found by nobody. When the name is not among what was
// passed the error wraps [ErrNoListener] and says which names are; when it is there more
// than once, it says to use [ListenAll].
//
// The caller closes the listener, or leaves that to [Serve].
func Listen(name, network, address string) (net.Listener, error) {
	ls, err := ListenAll(name, network, address)
	if err != nil {
		return nil, err
	}
	if len(ls) > 1 {
		return nil, fmt.Errorf("%d listeners named %q were passed, and Listen returns one: use ListenAll", len(ls), name)
	}
	return ls[0], nil
}

// ListenAll is [Listen] for a name that may stand for several sockets, as with two
// ListenStream= lines for IPv4 and IPv6. It returns at least one, or an error.
func ListenAll(name, network, address string) ([]net.Listener, error) {
	byName, err := Listeners()
	if errors.Is(err, ErrNotActivated) {
		l, lerr := net.Listen(network, address)
		if lerr != nil {
			return nil, fmt.Errorf("%w (%w)", lerr, err) // a port that systemd holds is in use: say why we wanted one
		}
		return []net.Listener{l}, nil
	}
	if err != nil {
		return nil, err
	}
	return pick(byName, name, "stream listener")
}

// ListenPacket is [Listen] for datagram sockets: the one passed under name, else
// net.ListenPacket(network, address).
func ListenPacket(name, network, address string) (net.PacketConn, error) {
	byName, err := PacketConns()
	if errors.Is(err, ErrNotActivated) {
		p, lerr := net.ListenPacket(network, address)
		if lerr != nil {
			return nil, fmt.Errorf("%w (%w)", lerr, err)
		}
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	conns, err := pick(byName, name, "datagram socket")
	if err != nil {
		return nil, err
	}
	if len(conns) > 1 {
		return nil, fmt.Errorf("%d datagram sockets named %q were passed, and ListenPacket returns one: use PacketConns", len(conns), name)
	}
	return conns[0], nil
}

func pick[T any](byName map[string][]T, name, what string) ([]T, error) {
	if found := byName[name]; len(found) > 0 {
		return found, nil
	}
	names := make([]string, 0, len(byName))
	for n := range byName {
		names = append(names, fmt.Sprintf("%q", n))
	}
	slices.Sort(names)
	there := "none at all"
	if len(names) > 0 {
		there = strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("%w: no %s is named %q in FileDescriptorName=; passed were: %s", ErrNoListener, what, name, there)
}
