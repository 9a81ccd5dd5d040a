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

// ErrNotActivated means that systemd has passed no descriptor to this process. An error that
// wraps ErrNotActivated contains the reason. Usually the program was started by hand, or by a
// launcher such as npm or a shell that did not exec the program.
var ErrNotActivated = sd.ErrNotActivated

// ErrNoListener means that descriptors were passed, but none with the requested name.
var ErrNoListener = errors.New("no such listener was passed")

// inherited returns the descriptors that systemd has passed. All callers share one result,
// because the first call unsets the environment variables that describe the descriptors.
var inherited = sync.OnceValues(func() (*passedSet, error) { return newSet(sd.System()) })

// Listeners returns the stream listeners that systemd has passed, by their names in
// FileDescriptorName= (systemd.socket(5)). Listeners with the same name are in the order of
// their socket unit. [PacketConns] returns datagram sockets.
//
// The error wraps [ErrNotActivated] if nothing was passed to this process. If a descriptor is
// neither a listener nor a datagram socket, the error contains the number and the name of this
// descriptor, which [Files] returns.
//
// Each call returns a new map with the same listeners. Closing a listener ends accepting in this
// process only.
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

// PacketConns returns the datagram sockets that systemd has passed, by name. Otherwise
// PacketConns works like [Listeners].
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

// Files returns duplicates of all descriptors that systemd has passed, by name. Use Files for
// other kinds of descriptors (FIFOs, the file descriptor store), and to pass listeners to a
// child. Each call returns new duplicates, and the caller must close them. Fd of such a
// duplicate does not change O_NONBLOCK.
func Files() (map[string][]*os.File, error) {
	s, err := inherited()
	if err != nil {
		return nil, err
	}
	return s.files()
}

// Listen returns the listener that systemd has passed with this name. Without systemd, Listen
// returns net.Listen(network, address). With systemd, Listen ignores network and address.
//
// If systemd has passed any descriptor, Listen never opens a port itself. A worker on its own
// port would not receive requests, and no error would show this. If no listener has this name,
// the error wraps [ErrNoListener] and lists the names that were passed. If several listeners
// have this name, Listen returns an error; use [ListenAll].
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

// ListenAll works like [Listen], but returns all listeners with the name, for example of two
// ListenStream= lines for IPv4 and IPv6. The result has at least one listener if err is nil.
func ListenAll(name, network, address string) ([]net.Listener, error) {
	byName, err := Listeners()
	if errors.Is(err, ErrNotActivated) {
		l, lerr := net.Listen(network, address)
		if lerr != nil {
			return nil, fmt.Errorf("%w (%w)", lerr, err) // contains both errors, because systemd may hold the port
		}
		return []net.Listener{l}, nil
	}
	if err != nil {
		return nil, err
	}
	return pick(byName, name, "stream listener")
}

// ListenPacket returns the datagram socket that systemd has passed with this name. Without
// systemd, ListenPacket returns net.ListenPacket(network, address). Otherwise ListenPacket works
// like [Listen].
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
