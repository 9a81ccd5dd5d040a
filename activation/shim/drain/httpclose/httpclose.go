// Package httpclose adds "Connection: close" to the next answer of any HTTP/1.1 server, from outside and without the help of
// the server.
//
// If a client uses its connection without a pause, the drain cannot wait for its end, and closing it between two requests
// may lose the next request. HTTP has a header for this, but only an answer can carry it. So a small BPF program (type
// SK_MSG, in a sockmap) sees the data that the server sends on the given connections. In the head of an answer it overwrites
//
//	Connection: keep-alive                → Connection:      close
//	or Date: Mon, 23 Nov 2026 16:03:35 GMT → Connection:                   close
//
// in place. Nothing is inserted, so no length and no framing changes. If the server does not send a Connection header (Go),
// this one answer loses its Date. A client then uses the time at which the answer came (RFC 9110, 6.6.1).
//
// # How a head is recognised
//
// A body must not be changed, even if it looks like a head: it may be a stored or proxied message, a web archive, or a part
// of a multipart body. So the program only looks at data that fulfils three conditions:
//
//   - It is the first send after a request: since its last send the server has read data, no received data is unread, and
//     the peer has acknowledged all data that was sent before. This excludes a later part of a body, and the second of two
//     pipelined answers.
//   - It begins with "HTTP/1.1 " and a status from 200 to 599, and contains the whole head, of at most [limit] bytes.
//   - The head has a length (or a status without a body), no Signature or Signature-Input header (RFC 9421), and no
//     Connection header of another form.
//
// Only one head of each connection is changed. The answer to CONNECT has no length, so it is not changed. In the tunnel that
// follows, an answer in plain HTTP/1.1 to a request of the peer is changed.
//
// The package needs CAP_BPF and CAP_NET_ADMIN (root), CONFIG_BPF_STREAM_PARSER, and Linux 5.10 with BTF. Closing the
// Rewriter detaches the program from all connections.
//
// # Why there is an assembler
//
// With the library github.com/cilium/ebpf v0.22.0 instead of bpf.go and half of assembler.go, the package has about 130
// lines less and passes all tests. The costs are:
//
//	                                                     own code   library
//	the shim, stripped                                     2.8 MB    4.3 MB
//	a drain with 200 connections (Pss)                     9.0 MB   11.4 MB
//	a notifier (private memory, of 16)                     750 KB    850 KB
//	"clusterctl-shim version", CPU time                   1.07 ms   1.21 ms
//
// The shim starts with every worker, and each worker has a notifier, so the package does not use the library. The numbers
// are from Go 1.26.8 on amd64; the second line is from smaps_rollup after New and 200 calls of Add, and the last line from
// "perf stat -r 50".
package httpclose

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capacity is the maximum number of connections of a Rewriter.
const Capacity = 16384

// ErrFull means that the Rewriter has Capacity connections.
var ErrFull = errors.New("no room for more connections")

// Rewriter changes one answer on each connection that is added.
type Rewriter struct {
	maps
	sockets, program int
	next             uint32
}

// Key identifies a connection of a Rewriter.
type Key uint32

// New loads the BPF program. It fails if the kernel or the container does not allow this, and then changes nothing.
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

// Add attaches the program to an established TCP connection. The caller may close fd afterwards. The kernel removes the
// connection from the maps when it ends.
func (r *Rewriter) Add(fd int) (Key, error) {
	if r.next >= Capacity {
		return 0, ErrFull
	}
	key := r.next
	// Add the state before the connection, so that the program counts every send. Add the base last: the program uses it
	// only for the first send.
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
			return 0, fmt.Errorf("adding the base of a connection: %w", err)
		}
	}
	return Key(key), nil
}

// baseline returns how many bytes the server has read, and whether a request came after the last answer. It returns known
// false while data comes in.
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

// Result is the state of a connection: whether an answer has carried Connection: close.
type Result int

const (
	// Pending means that no answer could carry Connection: close yet.
	Pending Result = 0
	// Rewritten means that an answer has carried Connection: close.
	Rewritten Result = resultRewritten
	// NotHTTP means that the server does not send HTTP/1.1 but TLS, HTTP/2 or WebSocket, so no answer can carry the header.
	NotHTTP Result = resultNotHTTP
)

// Result reports whether a response on the connection has carried "Connection: close".
func (r *Rewriter) Result(k Key) (Result, error) {
	var result uint32
	err := element(unix.BPF_MAP_LOOKUP_ELEM, r.results, uint32(k), unsafe.Pointer(&result))
	return Result(result), err
}

// Remove detaches the program from the connection, which may have ended.
func (r *Rewriter) Remove(k Key) error {
	err := element(unix.BPF_MAP_DELETE_ELEM, r.sockets, uint32(k), nil)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil // a sockmap returns EINVAL for an empty entry
	}
	return err
}

// Close detaches the program from all connections.
func (r *Rewriter) Close() error {
	var errs []error
	for _, fd := range []int{r.sockets, r.program, r.state, r.base, r.results} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
