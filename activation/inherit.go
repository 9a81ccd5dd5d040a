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
			s.streams[i], err = listener(p)
		case sd.Packet:
			s.packets[i], err = packetConn(p)
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

func (s *set) listeners() (map[string][]net.Listener, error) {
	if err := s.check("listener"); err != nil {
		return nil, err
	}
	return group(s.passed, s.streams), nil
}

func (s *set) packetConns() (map[string][]net.PacketConn, error) {
	if err := s.check("datagram socket"); err != nil {
		return nil, err
	}
	return group(s.passed, s.packets), nil
}

func (s *set) files() (map[string][]*os.File, error) {
	files := make([]*os.File, len(s.passed))
	for i, p := range s.passed {
		f, err := dup(p)
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

// listener makes two duplicates, here and in net.FileListener, so that the passed descriptor
// is never closed. The second duplicate gets O_NONBLOCK, and does not remove the path of a
// Unix socket when it is closed. FileListener calls os.File.Fd, which does not clear the flag
// of a File that os.NewFile made: it clears only flags that package os has set.
func listener(p sd.Passed) (net.Listener, error) {
	f, err := dup(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

func packetConn(p sd.Passed) (net.PacketConn, error) {
	f, err := dup(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FilePacketConn(f)
}

func dup(p sd.Passed) (*os.File, error) {
	fd, err := sd.Dup(p.FD)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p.Name), nil
}
