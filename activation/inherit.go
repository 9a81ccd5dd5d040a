package activation

import (
	"fmt"
	"net"
	"os"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// A set has the descriptors that systemd passed to this process. They stay open as long as
// the process lives, for Files. The listeners use duplicates, and closing a duplicate ends
// accepting.
type set struct {
	passed  []sd.Passed
	streams []net.Listener   // in the order of the descriptors; nil if a descriptor is not a listener
	packets []net.PacketConn // in the order of the descriptors; nil if a descriptor is not a datagram socket
}

// take builds the set. After an error it leaves nothing open.
func take(e sd.Env) (*set, error) {
	passed, err := sd.Receive(e)
	if err != nil {
		return nil, err
	}
	s := &set{passed: passed, streams: make([]net.Listener, len(passed)), packets: make([]net.PacketConn, len(passed))}
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

func (s *set) close() {
	for i := range s.passed {
		if s.streams[i] != nil {
			s.streams[i].Close()
		}
		if s.packets[i] != nil {
			s.packets[i].Close()
		}
	}
}

func (s *set) files() (map[string][]*os.File, error) {
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

// check returns an error if neither Listeners nor PacketConns returns one of the
// descriptors. Without the error, a wrong socket unit would not be noticed.
func (s *set) check(want string) error {
	for _, p := range s.passed {
		if p.Kind == sd.Other {
			return fmt.Errorf("%v is not a %s, but %s; Files returns it", p, want, p.What)
		}
	}
	return nil
}

// group maps names to values and omits zero values.
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

// open returns the result of net.FileListener or net.FilePacketConn for p. It makes two duplicates,
// one itself and one in this function of net, so the passed descriptor is never closed. The second
// duplicate gets O_NONBLOCK, and closing it does not remove the path of a Unix socket. The function
// of net calls os.File.Fd, which clears O_NONBLOCK only if package os has set it. It has not set
// the flag of a File that os.NewFile made.
func open[T any](p sd.Passed, convert func(*os.File) (T, error)) (conn T, err error) {
	f, err := p.Dup()
	if err != nil {
		return conn, err
	}
	defer f.Close()
	return convert(f)
}
