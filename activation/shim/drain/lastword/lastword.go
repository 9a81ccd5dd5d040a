// Package lastword makes any HTTP/1.1 server say "Connection: close" with its
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
// 6.6.1). A 1xx answer, one whose head is longer than [limit] or comes in pieces,
// TLS and HTTP/2 pass as they are.
//
// It needs CAP_BPF and CAP_NET_ADMIN (root), CONFIG_BPF_STREAM_PARSER, and
// bounded loops in BPF (Linux 5.3). Closing the Speaker takes the program off all
// connections again.
package lastword

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capacity is how many connections one Speaker takes.
const Capacity = 16384

// ErrFull means that Capacity connections have been added.
var ErrFull = errors.New("no room for more connections")

// Speaker holds the program and the connections that it speaks on.
type Speaker struct {
	sockets, program int
	next             uint32
}

// New loads the program. An error means that this kernel or container does not
// let us, and never changes anything.
func New() (*Speaker, error) {
	// Before Linux 5.11 the map counts against RLIMIT_MEMLOCK.
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	sockets, err := createMap()
	if err != nil {
		return nil, fmt.Errorf("creating a sockmap: %w", err)
	}
	program, err := load(assemble())
	if err != nil {
		unix.Close(sockets)
		return nil, fmt.Errorf("loading the BPF program: %w", err)
	}
	s := &Speaker{sockets: sockets, program: program}
	if err := attach(sockets, program); err != nil {
		s.Close()
		return nil, fmt.Errorf("attaching the BPF program: %w", err)
	}
	return s, nil
}

// Add puts the program on the connection, an established TCP socket. fd is not
// needed after that. The kernel takes the connection out when it ends.
func (s *Speaker) Add(fd int) error {
	if s.next >= Capacity {
		return ErrFull
	}
	if err := update(s.sockets, s.next, uint32(fd)); err != nil {
		return fmt.Errorf("adding a connection to the sockmap: %w", err)
	}
	s.next++
	return nil
}

// Close takes the program off every connection.
func (s *Speaker) Close() error {
	return errors.Join(unix.Close(s.sockets), unix.Close(s.program))
}

// The parts of union bpf_attr that are used, bpf(2). Pointers take the place of
// the union's 64-bit integers: amd64 and arm64 alone.
type (
	mapCreate struct{ mapType, keySize, valueSize, maxEntries, flags uint32 }
	mapUpdate struct {
		mapFD      uint32
		_          uint32
		key, value unsafe.Pointer
		flags      uint64
	}
	progLoad struct {
		progType, count uint32
		insns, license  unsafe.Pointer
		logLevel        uint32
		logSize         uint32
		logBuf          unsafe.Pointer
		kernVersion     uint32
		flags           uint32
		name            [16]byte
		ifindex         uint32
		attachType      uint32
	}
	progAttach struct{ target, program, attachType, flags uint32 }
)

func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EAGAIN, unix.EINTR: // the verifier was interrupted by a signal
			continue
		}
		return -1, errno
	}
}

func createMap() (int, error) {
	attr := mapCreate{mapType: unix.BPF_MAP_TYPE_SOCKMAP, keySize: 4, valueSize: 4, maxEntries: Capacity}
	return bpf(unix.BPF_MAP_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

func update(sockets int, key, fd uint32) error {
	attr := mapUpdate{mapFD: uint32(sockets), key: unsafe.Pointer(&key), value: unsafe.Pointer(&fd)}
	_, err := bpf(unix.BPF_MAP_UPDATE_ELEM, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&key)
	runtime.KeepAlive(&fd)
	return err
}

func load(code []insn) (int, error) {
	license := []byte("Dual MIT/GPL\x00")
	attr := progLoad{
		progType:   unix.BPF_PROG_TYPE_SK_MSG,
		count:      uint32(len(code)),
		insns:      unsafe.Pointer(&code[0]),
		license:    unsafe.Pointer(&license[0]),
		attachType: unix.BPF_SK_MSG_VERDICT,
	}
	copy(attr.name[:], "clusterctl_bye")
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		err = errors.Join(err, verdict(&attr))
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	return fd, err
}

// verdict loads once more, for the verifier's last words. ENOSPC and the like are
// the log's, and of no interest.
func verdict(attr *progLoad) error {
	log := make([]byte, 64<<10)
	attr.logLevel, attr.logSize, attr.logBuf = 1, uint32(len(log)), unsafe.Pointer(&log[0])
	if fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(attr), unsafe.Sizeof(*attr)); err == nil {
		unix.Close(fd)
	}
	text := unix.ByteSliceToString(log)
	if text == "" {
		return nil
	}
	return errors.New("verifier: " + text[max(0, len(text)-300):])
}

func attach(sockets, program int) error {
	attr := progAttach{target: uint32(sockets), program: uint32(program), attachType: unix.BPF_SK_MSG_VERDICT}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}
