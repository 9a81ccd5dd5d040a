// Package httpclose makes any HTTP/1.1 server say "Connection: close" with its
// next answer, from outside and without its help.
//
// A client with a connection that it uses without a pause cannot be drained by
// waiting, and closing the connection between two requests always races with the
// next one. HTTP has a word for the end, but only an answer can carry it. So a
// small BPF program (type SK_MSG, by a sockmap) sees what the server sends on
// the connections that are given to it, and in the head of an answer it overwrites
//
//	Connection: keep-alive                → Connection:      close
//	or Date: Mon, 23 Nov 2026 16:03:35 GMT → Connection:                   close
//
// in place. Nothing is inserted, so no length and no framing changes; the Date of
// that one answer is the price with servers that send no Connection header (Go).
// A client takes an answer without Date as of the time when it came (RFC 9110,
// 6.6.1).
//
// # What is taken for a head
//
// A body must arrive as it was sent, also one that looks like a head: a stored or proxied message, a web archive, a part
// of a multipart body. So what a server sends is looked at only
//
//   - in the first send after a request: the server has read something since it sent last, has read all that came, and the
//     peer has acknowledged all that was sent before. No request precedes a part of a body that is sent by itself, or the second
//     of two pipelined answers;
//   - if it begins with "HTTP/1.1 " and a status from 200 to 599, and the whole head, of at most [limit] bytes, is in this
//     send;
//   - if the head has a length (or a status without a body), no Signature or Signature-Input header (RFC 9421), and no
//     Connection header of another form.
//
// One head of each connection is changed, never a second one. The answer to CONNECT has no length; in the tunnel behind it,
// an answer in plain HTTP/1.1 that meets all of this is one to a request of the peer, and it is changed.
//
// It needs CAP_BPF and CAP_NET_ADMIN (root), CONFIG_BPF_STREAM_PARSER, and Linux 5.10 with BTF. Closing the Speaker takes
// the program off all connections again.
package httpclose

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capacity is how many connections one Speaker takes.
const Capacity = 16384

// ErrFull means that Capacity connections have been added.
var ErrFull = errors.New("no room for more connections")

// Speaker holds the program and the connections that it speaks on.
type Speaker struct {
	maps
	sockets, program int
	next             uint32
}

// Key is a connection of a Speaker.
type Key uint32

// New loads the program. An error means that this kernel or container does not
// let us, and never changes anything.
func New() (*Speaker, error) {
	offsets, err := kernelCounters()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	// Before Linux 5.11 the maps count against RLIMIT_MEMLOCK.
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	s := &Speaker{sockets: -1, program: -1, maps: maps{state: -1, base: -1, told: -1}}
	if err := s.open(offsets); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Speaker) open(offsets counters) (err error) {
	if s.state, err = createStorage("clusterctl_say", stateLength/4); err != nil {
		return fmt.Errorf("creating the map of states: %w", err)
	}
	for _, m := range []struct {
		fd   *int
		kind uint32
		size uint32
	}{
		{&s.sockets, unix.BPF_MAP_TYPE_SOCKMAP, 4},
		{&s.base, unix.BPF_MAP_TYPE_ARRAY, baseLength},
		{&s.told, unix.BPF_MAP_TYPE_ARRAY, 4},
	} {
		if *m.fd, err = createMap(m.kind, "clusterctl_bye", m.size, Capacity); err != nil {
			return fmt.Errorf("creating a map: %w", err)
		}
	}
	if s.program, err = load(assemble(s.maps, offsets)); err != nil {
		return fmt.Errorf("loading the BPF program: %w", err)
	}
	if err = attach(s.sockets, s.program); err != nil {
		return fmt.Errorf("attaching the BPF program: %w", err)
	}
	return nil
}

// Add puts the program on the connection, an established TCP socket. fd is not
// needed after that. The kernel takes the connection out when it ends.
func (s *Speaker) Add(fd int) (Key, error) {
	if s.next >= Capacity {
		return 0, ErrFull
	}
	key := s.next
	// The state comes first, so that the program counts every send once it is on the connection. The base comes last: the
	// program uses it only for the first of these sends.
	state := [stateLength / 4]uint32{stateKey / 4: key}
	if err := element(unix.BPF_MAP_UPDATE_ELEM, s.state, uint32(fd), unsafe.Pointer(&state)); err != nil {
		return 0, fmt.Errorf("adding the state of a connection: %w", err)
	}
	value := uint32(fd)
	if err := element(unix.BPF_MAP_UPDATE_ELEM, s.sockets, key, unsafe.Pointer(&value)); err != nil {
		return 0, fmt.Errorf("adding a connection to the sockmap: %w", err)
	}
	s.next++
	if base, known := begun(fd); known {
		if err := element(unix.BPF_MAP_UPDATE_ELEM, s.base, key, unsafe.Pointer(&base)); err != nil {
			return 0, fmt.Errorf("adding what is known of a connection: %w", err)
		}
	}
	return Key(key), nil
}

// begun returns how much of what came the server has read, and whether the last that happened was that a request came. It
// is unknown while data comes in.
func begun(fd int) (base [baseLength / 4]uint32, known bool) {
	for range 3 {
		before, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		if err != nil {
			return base, false
		}
		unread, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
		if err != nil {
			return base, false
		}
		after, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		if err != nil {
			return base, false
		}
		if before.Bytes_received != after.Bytes_received || before.Bytes_sent != after.Bytes_sent {
			continue
		}
		base[baseRead/4], base[baseFlags/4] = uint32(after.Bytes_received)-uint32(unread), begunKnown
		if after.Bytes_received > 0 && (after.Bytes_sent == 0 || after.Last_data_recv < after.Last_data_sent) {
			base[baseFlags/4] |= underWay
		}
		return base, true
	}
	return base, false
}

// Word is what is known of the word on a connection.
type Word int

const (
	// Unsaid: no answer has been seen that could carry it.
	Unsaid Word = 0
	// Said: an answer has carried Connection: close.
	Said Word = saidClose
	// Foreign: what followed a request is not HTTP/1.1 but TLS, HTTP/2 or WebSocket. The word cannot be said.
	Foreign Word = notHTTP
)

// Word returns what is known of the word on the connection.
func (s *Speaker) Word(k Key) (Word, error) {
	var word uint32
	err := element(unix.BPF_MAP_LOOKUP_ELEM, s.told, uint32(k), unsafe.Pointer(&word))
	return Word(word), err
}

// Remove takes the program off the connection, which may have ended.
func (s *Speaker) Remove(k Key) error {
	err := element(unix.BPF_MAP_DELETE_ELEM, s.sockets, uint32(k), nil)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil // sockmap says EINVAL for a place that is empty
	}
	return err
}

// Close takes the program off every connection.
func (s *Speaker) Close() error {
	var errs []error
	for _, fd := range []int{s.sockets, s.program, s.state, s.base, s.told} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
