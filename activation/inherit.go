package activation

import (
	"fmt"
	"net"
	"os"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// A set is what one process was passed. Its descriptors stay open for as long as the
// process lives, for Files; the listeners are made from duplicates, and closing those
// ends accepting.
type set struct {
	passed  []sd.Passed
	streams []net.Listener   // as passed; nil where it is no listener
	packets []net.PacketConn // as passed; nil where it is no datagram socket
}

// take builds the set. After an error nothing that it made is open.
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

// check refuses a set with a descriptor that neither Listeners nor PacketConns
// returns. Leaving it out silently would hide a wrong socket unit for good.
func (s *set) check(want string) error {
	for _, p := range s.passed {
		if p.Kind == sd.Other {
			return fmt.Errorf("%v is no %s, but %s; Files returns it", p, want, p.What)
		}
	}
	return nil
}

// group leaves out what is not there.
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

// listener duplicates twice, here and in net.FileListener, so that the passed number
// itself is never closed. The second duplicate gets O_NONBLOCK, and is in no mode to
// unlink a unix socket's path when closed. os.File.Fd, which FileListener calls, leaves
// the flag alone for a File that os.NewFile made: it clears only what os itself has set.
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
