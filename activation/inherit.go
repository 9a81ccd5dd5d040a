package activation

import (
	"fmt"
	"net"
	"os"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// passedSet holds the descriptors that systemd passed to this process. The descriptors stay
// open until the process ends, so that Files can duplicate them. The listeners have their own
// duplicates, so a caller can close a listener.
type passedSet struct {
	passed  []sd.Passed
	streams []net.Listener   // the listener of each descriptor, or nil if the descriptor is not a listener
	packets []net.PacketConn // the connection of each descriptor, or nil if the descriptor is not a datagram socket
}

// newSet receives the descriptors and opens a listener or a packet connection for each socket.
// After an error, newSet has closed the listeners and connections.
func newSet(e sd.Env) (*passedSet, error) {
	passed, err := sd.Receive(e)
	if err != nil {
		return nil, err
	}
	s := &passedSet{passed: passed, streams: make([]net.Listener, len(passed)), packets: make([]net.PacketConn, len(passed))}
	for i, p := range passed {
		switch p.Kind {
		case sd.Listener:
			s.streams[i], err = open(p, net.FileListener)
		case sd.Packet:
			s.packets[i], err = open(p, net.FilePacketConn)
		}
		if err != nil {
			s.close()
			return nil, fmt.Errorf("taking over %v: %w", p, err)
		}
	}
	return s, nil
}

func (s *passedSet) close() {
	for i := range s.passed {
		if s.streams[i] != nil {
			s.streams[i].Close()
		}
		if s.packets[i] != nil {
			s.packets[i].Close()
		}
	}
}

func (s *passedSet) files() (map[string][]*os.File, error) {
	files := make([]*os.File, len(s.passed))
	for i, p := range s.passed {
		f, err := p.Dup()
		if err != nil {
			for _, f := range files[:i] {
				f.Close()
			}
			return nil, err
		}
		files[i] = f
	}
	return group(s.passed, files), nil
}

// The method check returns an error if a descriptor is neither a listener nor a datagram socket,
// because the socket unit is probably wrong. The parameter want is the kind of socket that the
// caller expects.
func (s *passedSet) check(want string) error {
	for _, p := range s.passed {
		if p.Kind == sd.Other {
			return fmt.Errorf("%v is not a %s, but %s; Files returns it", p, want, p.What)
		}
	}
	return nil
}

// The function group returns a map from the name of a descriptor to the values of the descriptors
// with this name. It omits zero values.
func group[T comparable](passed []sd.Passed, values []T) map[string][]T {
	var none T
	byName := make(map[string][]T)
	for i, p := range passed {
		if values[i] != none {
			byName[p.Name] = append(byName[p.Name], values[i])
		}
	}
	return byName
}

// The function open returns the listener or connection that convert (net.FileListener or
// net.FilePacketConn) makes from a duplicate of p. convert sets O_NONBLOCK. Closing the result
// does not close p, and does not remove the path of a Unix socket. convert calls Fd of the
// duplicate. Fd does not clear O_NONBLOCK here, because Fd clears only a flag that package os has
// set itself.
func open[T any](p sd.Passed, convert func(*os.File) (T, error)) (conn T, err error) {
	f, err := p.Dup()
	if err != nil {
		return conn, err
	}
	defer f.Close()
	return convert(f)
}
