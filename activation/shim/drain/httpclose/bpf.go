package httpclose

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The members of union bpf_attr (bpf(2)) that this package uses. Pointers replace the 64-bit integers of the union, which is
// only correct on 64-bit machines.
type (
	mapCreate struct {
		mapType, keySize, valueSize, maxEntries, flags uint32
		innerMap, numaNode                             uint32
		name                                           [16]byte
		ifindex, btf, keyType, valueType               uint32
	}
	mapElement struct {
		mapFD      uint32
		_          uint32
		key, value unsafe.Pointer
		flags      uint64
	}
	btfLoad struct {
		btf, log                unsafe.Pointer
		size, logSize, logLevel uint32
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

// createMap creates a map with keys of 32 bits.
func createMap(kind uint32, name string, valueSize, entries uint32) (int, error) {
	attr := mapCreate{mapType: kind, keySize: 4, valueSize: valueSize, maxEntries: entries}
	copy(attr.name[:15], name)
	return bpf(unix.BPF_MAP_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

// createStorage creates a map whose values belong to sockets. The kernel frees a value when its socket is freed.
func createStorage(name string, words uint32) (int, error) {
	types := stateTypes(words)
	load := btfLoad{btf: unsafe.Pointer(&types[0]), size: uint32(len(types))}
	btf, err := bpf(unix.BPF_BTF_LOAD, unsafe.Pointer(&load), unsafe.Sizeof(load))
	runtime.KeepAlive(types)
	if err != nil {
		return -1, fmt.Errorf("loading BTF: %w", err)
	}
	defer unix.Close(btf)
	attr := mapCreate{
		mapType: unix.BPF_MAP_TYPE_SK_STORAGE, keySize: 4, valueSize: 4 * words, flags: unix.BPF_F_NO_PREALLOC,
		btf: uint32(btf), keyType: keyType, valueType: valueType,
	}
	copy(attr.name[:15], name)
	return bpf(unix.BPF_MAP_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

// The function element updates, reads or deletes the value of one element of map m.
func element(command uintptr, m int, key uint32, value unsafe.Pointer) error {
	attr := mapElement{mapFD: uint32(m), key: unsafe.Pointer(&key), value: value}
	_, err := bpf(command, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&key)
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
	copy(attr.name[:], "clusterctl_http")
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		err = errors.Join(err, verifierError(&attr))
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	return fd, err
}

// verifierError loads the program a second time, and returns the end of the verifier's log as an error. verifierError
// ignores the errno of the second load, because it is ENOSPC if the log is too long.
func verifierError(attr *progLoad) error {
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
