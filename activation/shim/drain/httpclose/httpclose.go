// Package httpclose makes any HTTP/1.1 server say "Connection: close" with its
// next answer, from outside and without its help.
//
// A client with a connection that it uses without a pause cannot be drained by
// waiting, and closing the connection between two requests always races with the
// next one. HTTP has a header for this, but only an answer can carry it. So a
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
// It needs CAP_BPF and CAP_NET_ADMIN (root), CONFIG_BPF_STREAM_PARSER, and Linux 5.10 with BTF. Closing the Rewriter takes
// the program off all connections again.
//
// # Why not a library
//
// github.com/cilium/ebpf v0.22.0 in place of bpf.go and half of assembler.go is about 130 lines fewer, passes all tests, and makes
//
//	                                                     own code   library
//	the shim, stripped                                     2.8 MB    4.3 MB
//	a drain with 200 connections (Pss)                     9.0 MB   11.4 MB
//	a notifier (private memory, of 16)                     750 KB    850 KB
//	"clusterctl-shim version", CPU time                   1.07 ms   1.21 ms
//
// The shim starts with every worker, and a notifier stays with each, so the package has its own assembler. The table is of
// Go 1.26.8 on amd64; the second line is smaps_rollup after New and 200 calls of Add, and the last "perf stat -r 50".
package httpclose

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capacity is how many connections one Rewriter takes.
const Capacity = 16384

// ErrFull means that Capacity connections have been added.
var ErrFull = errors.New("no room for more connections")

// Rewriter changes one answer on each of the connections that are added to it.
type Rewriter struct {
	maps
	sockets, program int
	next             uint32
}

// Key is a connection of a Rewriter.
type Key uint32

// New loads the program. An error means that this kernel or container does not
// let us, and never changes anything.
func New() (*Rewriter, error) {
	offsets, err := kernelCounters()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	// Before Linux 5.11 the maps count against RLIMIT_MEMLOCK.
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	r := &Rewriter{sockets: -1, program: -1, maps: maps{state: -1, base: -1, results: -1}}
	if err := r.open(offsets); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Rewriter) open(offsets counters) (err error) {
	if r.state, err = createStorage("clusterctl_conn", stateLength/4); err != nil {
		return fmt.Errorf("creating the map of states: %w", err)
	}
	for _, m := range []struct {
		fd   *int
		kind uint32
		size uint32
	}{
		{&r.sockets, unix.BPF_MAP_TYPE_SOCKMAP, 4},
		{&r.base, unix.BPF_MAP_TYPE_ARRAY, baseLength},
		{&r.results, unix.BPF_MAP_TYPE_ARRAY, 4},
	} {
		if *m.fd, err = createMap(m.kind, "clusterctl_http", m.size, Capacity); err != nil {
			return fmt.Errorf("creating a map: %w", err)
		}
	}
	if r.program, err = load(assemble(r.maps, offsets)); err != nil {
		return fmt.Errorf("loading the BPF program: %w", err)
	}
	if err = attach(r.sockets, r.program); err != nil {
		return fmt.Errorf("attaching the BPF program: %w", err)
	}
	return nil
}

// Add puts the program on the connection, an established TCP socket. fd is not
// needed after that. The kernel takes the connection out when it ends.
func (r *Rewriter) Add(fd int) (Key, error) {
	if r.next >= Capacity {
		return 0, ErrFull
	}
	key := r.next
	// The state comes first, so that the program counts every send once it is on the connection. The base comes last: the
	// program uses it only for the first of these sends.
	state := [stateLength / 4]uint32{stateKey / 4: key}
	if err := element(unix.BPF_MAP_UPDATE_ELEM, r.state, uint32(fd), unsafe.Pointer(&state)); err != nil {
		return 0, fmt.Errorf("adding the state of a connection: %w", err)
	}
	value := uint32(fd)
	if err := element(unix.BPF_MAP_UPDATE_ELEM, r.sockets, key, unsafe.Pointer(&value)); err != nil {
		return 0, fmt.Errorf("adding a connection to the sockmap: %w", err)
	}
	r.next++
	if base, known := baseline(fd); known {
		if err := element(unix.BPF_MAP_UPDATE_ELEM, r.base, key, unsafe.Pointer(&base)); err != nil {
			return 0, fmt.Errorf("adding what is known of a connection: %w", err)
		}
	}
	return Key(key), nil
}

// baseline returns how much of what came the server has read, and whether the last that happened was that a request came. It
// is unknown while data comes in.
func baseline(fd int) (base [baseLength / 4]uint32, known bool) {
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
		base[baseRead/4], base[baseFlags/4] = uint32(after.Bytes_received)-uint32(unread), baseKnown
		if after.Bytes_received > 0 && (after.Bytes_sent == 0 || after.Last_data_recv < after.Last_data_sent) {
			base[baseFlags/4] |= requestPending
		}
		return base, true
	}
	return base, false
}

// Result says whether an answer on a connection has carried Connection: close.
type Result int

const (
	// Pending: there has been no answer that could carry it.
	Pending Result = 0
	// Rewritten: an answer has carried Connection: close.
	Rewritten Result = resultRewritten
	// NotHTTP: what followed a request is not HTTP/1.1 but TLS, HTTP/2 or WebSocket. No answer can carry it.
	NotHTTP Result = resultNotHTTP
)

// Result returns the result of the connection.
func (r *Rewriter) Result(k Key) (Result, error) {
	var result uint32
	err := element(unix.BPF_MAP_LOOKUP_ELEM, r.results, uint32(k), unsafe.Pointer(&result))
	return Result(result), err
}

// Remove takes the program off the connection, which may have ended.
func (r *Rewriter) Remove(k Key) error {
	err := element(unix.BPF_MAP_DELETE_ELEM, r.sockets, uint32(k), nil)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil // sockmap says EINVAL for a place that is empty
	}
	return err
}

// Close takes the program off every connection.
func (r *Rewriter) Close() error {
	var errs []error
	for _, fd := range []int{r.sockets, r.program, r.state, r.base, r.results} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
