package activation

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// ErrNotActivated means that systemd has passed no descriptor to this process. The error
// that wraps it gives the reason if it is known: usually the program was started by hand,
// or by a launcher (npm, a shell) that did not exec it.
var ErrNotActivated = sd.ErrNotActivated

// ErrNoListener means that descriptors were passed, but none with the requested name.
var ErrNoListener = errors.New("no such listener was passed")

// inherited returns the descriptors that systemd has passed. It is the only variable of the
// package and is assigned once. A process has these descriptors only once, and their
// environment variables are unset when they are read, so all readers share the result.
var inherited = sync.OnceValues(func() (*set, error) { return take(sd.System()) })

// Listeners returns the stream listeners that systemd has passed, by their names in
// FileDescriptorName= (systemd.socket(5)). Listeners with the same name are in the order of
// their socket unit. [PacketConns] returns datagram sockets.
//
// The error wraps [ErrNotActivated] if nothing was passed to this process. If a descriptor
// is neither a listener nor a datagram socket, the error gives its number and its name;
// [Files] returns such a descriptor.
//
// The map belongs to the caller. Each call returns the same listeners, and the caller can
// close them, which stops accepting in this process only.
func Listeners() (map[string][]net.Listener, error) {
	s, err := inherited()
	if err == nil {
		err = s.check("listener")
	}
	if err != nil {
		return nil, err
	}
	return group(s.passed, s.streams), nil
}

// PacketConns returns the datagram sockets that systemd has passed, by name. In all other
// respects it works like [Listeners].
func PacketConns() (map[string][]net.PacketConn, error) {
	s, err := inherited()
	if err == nil {
		err = s.check("datagram socket")
	}
	if err != nil {
		return nil, err
	}
	return group(s.passed, s.packets), nil
}

// Files returns duplicates of all descriptors that systemd has passed, by name. Use it for
// other kinds of descriptors (FIFOs, the file descriptor store), and to pass listeners to a
// child. Each call returns new duplicates, and the caller must close them. Their Fd method
// does not change O_NONBLOCK.
func Files() (map[string][]*os.File, error) {
	s, err := inherited()
	if err != nil {
		return nil, err
	}
	return s.files()
}

// Listen returns the listener that systemd has passed with this name. Without systemd it
// returns net.Listen(network, address). With systemd it ignores network and address.
//
// If systemd has passed any descriptor, Listen never opens its own port:
// a worker that does not use the shared port would not be noticed. If no listener has this name,
// the error wraps [ErrNoListener] and lists the names that were passed. If several
// listeners have this name, the error says to use [ListenAll].
//
// The caller must close the listener, or call [Serve], which closes it.
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

// ListenAll is [Listen] for a name that several sockets can have, for example with two
// ListenStream= lines for IPv4 and IPv6. It returns at least one listener, or an error.
func ListenAll(name, network, address string) ([]net.Listener, error) {
	byName, err := Listeners()
	if errors.Is(err, ErrNotActivated) {
		l, lerr := net.Listen(network, address)
		if lerr != nil {
			return nil, fmt.Errorf("%w (%w)", lerr, err) // the port is in use, perhaps by systemd: say why we did not get it from there
		}
		return []net.Listener{l}, nil
	}
	if err != nil {
		return nil, err
	}
	return pick(byName, name, "stream listener")
}

// ListenPacket is [Listen] for datagram sockets: it returns the socket with this name, or
// without systemd net.ListenPacket(network, address).
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
	var names []string
	for _, n := range slices.Sorted(maps.Keys(byName)) {
		names = append(names, strconv.Quote(n))
	}
	return nil, fmt.Errorf("%w: no %s is named %q in FileDescriptorName=; names of passed descriptors: %s", ErrNoListener,
		what, name, cmp.Or(strings.Join(names, ", "), "none"))
}
