// Package httpclose adds "Connection: close" to the next response of any HTTP/1.1 server, without the help of the server.
//
// If a client sends one request after the other on a connection, the connection never ends by itself, and closing the
// connection between two requests may lose the second request. In HTTP, a server announces with a response header that it
// closes the connection. So a small BPF program (type SK_MSG, in a sockmap) reads the data that the server sends on the
// given connections. In the head of a response, the program replaces one header by another header of the same length:
//
//	Connection: keep-alive                 → Connection:      close
//	or Date: Mon, 23 Nov 2026 16:03:35 GMT → Connection:                   close
//
// If the server does not send a Connection header, as servers in Go, the response loses its Date header. A client then uses
// the time at which it has received the response (RFC 9110, 6.6.1).
//
// # How the program recognises a head
//
// A body must not be changed, even if it contains text in the form of a head: it may be a stored or proxied message, a web
// archive, or a part of a multipart body. So the program only changes data under three conditions:
//
//   - The data is the first send after a request. A send is the first one after a request if the server has read data
//     after its previous send, no received data is unread, and the peer has acknowledged all data that was sent before.
//     So the data is not a later part of a body, and not the second of two pipelined responses.
//   - The data begins with "HTTP/1.1 " and a status from 200 to 599, and contains the whole head, of at most [limit] bytes.
//   - The head has a length (or a status without a body), no Signature or Signature-Input header (RFC 9421), and no
//     Connection header of another form.
//
// The program changes at most one head on each connection. The program does not change the response to CONNECT, which has no
// length. But in the tunnel after CONNECT, the program may change a response in plain HTTP/1.1.
//
// The package needs CAP_BPF and CAP_NET_ADMIN (root), CONFIG_BPF_STREAM_PARSER, and Linux 5.10 with BTF.
//
// # Why there is an assembler
//
// With the library github.com/cilium/ebpf v0.22.0 instead of bpf.go and half of assembler.go, the package is about 130 lines
// shorter and passes all tests. But the library needs more memory and time:
//
//	                                                     own code   library
//	the shim, stripped                                     2.8 MB    4.3 MB
//	a drain with 200 connections (Pss)                     9.0 MB   11.4 MB
//	a notifier (private memory, of 16)                     750 KB    850 KB
//	"clusterctl-shim version", CPU time                   1.07 ms   1.21 ms
//
// The shim starts with every worker, and each worker has a notifier, so the package does not use the library. The numbers
// are from Go 1.26.8 on amd64. The second line was measured with smaps_rollup after New and 200 calls of Add, and the last
// line with "perf stat -r 50".
package httpclose

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// capacity is the maximum number of connections of a Rewriter.
const capacity = 16384

var errFull = errors.New("no room for more connections")

// Rewriter changes one response on each of its connections.
type Rewriter struct {
	maps
	sockets, program int
	next             uint32
}

// Key identifies a connection of a Rewriter.
type Key uint32

// New loads the BPF program. New returns an error if the kernel or the container does not allow BPF programs.
func New() (*Rewriter, error) {
	offsets, err := kernelCounters()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	// Before Linux 5.11 the maps count against RLIMIT_MEMLOCK.
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	r := &Rewriter{sockets: -1, program: -1, maps: maps{state: -1, initial: -1, results: -1}}
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
		{&r.initial, unix.BPF_MAP_TYPE_ARRAY, initialLength},
		{&r.results, unix.BPF_MAP_TYPE_ARRAY, 4},
	} {
		if *m.fd, err = createMap(m.kind, "clusterctl_http", m.size, capacity); err != nil {
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

// Add attaches the program to an established TCP connection. The caller may close fd afterwards. When the connection ends,
// the kernel removes it from the maps.
func (r *Rewriter) Add(fd int) (Key, error) {
	if r.next >= capacity {
		return 0, errFull
	}
	key := r.next
	// Add the state before the connection, so that the program records every send. The initial counters may come last,
	// because the program uses them only for the first send.
	state := [stateLength / 4]uint32{stateKey / 4: key}
	if err := element(unix.BPF_MAP_UPDATE_ELEM, r.state, uint32(fd), unsafe.Pointer(&state)); err != nil {
		return 0, fmt.Errorf("adding the state of a connection: %w", err)
	}
	value := uint32(fd)
	if err := element(unix.BPF_MAP_UPDATE_ELEM, r.sockets, key, unsafe.Pointer(&value)); err != nil {
		return 0, fmt.Errorf("adding a connection to the sockmap: %w", err)
	}
	r.next++
	if start, known := initialCounters(fd); known {
		if err := element(unix.BPF_MAP_UPDATE_ELEM, r.initial, key, unsafe.Pointer(&start)); err != nil {
			return 0, fmt.Errorf("adding the initial counters of a connection: %w", err)
		}
	}
	return Key(key), nil
}

// initialCounters returns how many bytes the server has read, and whether a request came after the last response. The
// result known is false if new data comes during each of three tries.
func initialCounters(fd int) (start [initialLength / 4]uint32, known bool) {
	for range 3 {
		before, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		if err != nil {
			return start, false
		}
		unread, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
		if err != nil {
			return start, false
		}
		after, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		if err != nil {
			return start, false
		}
		if before.Bytes_received != after.Bytes_received || before.Bytes_sent != after.Bytes_sent {
			continue
		}
		start[initialRead/4], start[initialFlags/4] = uint32(after.Bytes_received)-uint32(unread), initialKnown
		if after.Bytes_received > 0 && (after.Bytes_sent == 0 || after.Last_data_recv < after.Last_data_sent) {
			start[initialFlags/4] |= requestPending
		}
		return start, true
	}
	return start, false
}

// Result describes what the program has done on a connection.
type Result int

const (
	// Pending means that the program has not changed a response yet.
	Pending Result = 0
	// Rewritten means that the program has added Connection: close to a response.
	Rewritten Result = resultRewritten
	// NotHTTP means that the server sends TLS, HTTP/2 or WebSocket instead of HTTP/1.1, so no response can carry the header.
	NotHTTP Result = resultNotHTTP
)

// Result returns the result of the connection.
func (r *Rewriter) Result(k Key) (Result, error) {
	var result uint32
	err := element(unix.BPF_MAP_LOOKUP_ELEM, r.results, uint32(k), unsafe.Pointer(&result))
	return Result(result), err
}

// Remove detaches the program from the connection. Remove returns nil if the connection has ended.
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
	for _, fd := range []int{r.sockets, r.program, r.state, r.initial, r.results} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
