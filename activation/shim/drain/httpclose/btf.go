package httpclose

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// BTF describes the types of the kernel (Documentation/bpf/btf.rst). This file reads the BTF of the kernel, for the offsets
// of the counters in struct tcp_sock. The file also writes BTF, because a map whose values belong to sockets must have a
// type.

// counters holds the offsets of the members of struct tcp_sock that the program reads.
type counters struct {
	received, next, copied  int16 // bytes_received, rcv_nxt, copied_seq
	written, unacknowledged int16 // write_seq, snd_una
}

const vmlinux = "/sys/kernel/btf/vmlinux"

// kernelCounters returns the offsets for the running kernel.
func kernelCounters() (c counters, err error) {
	b, err := os.ReadFile(vmlinux)
	if err != nil {
		return c, err
	}
	want := map[string]*int16{
		"bytes_received": &c.received, "rcv_nxt": &c.next, "copied_seq": &c.copied,
		"write_seq": &c.written, "snd_una": &c.unacknowledged,
	}
	return c, members(b, "tcp_sock", want)
}

var errBTF = errors.New("malformed BTF")

// Kinds of BTF types, and the size of the BTF header.
const (
	btfInt, btfArray, btfStruct = 1, 3, 4
	btfHeader                   = 24
)

// extraSize returns the number of bytes that follow the first 12 bytes of a type. ok is false for an unknown kind.
func extraSize(kind, count int) (size int, ok bool) {
	switch kind {
	case 2, 7, 8, 9, 10, 11, 12, 16, 18: // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
		return 0, true
	case btfInt, 14, 17: // VAR, DECL_TAG
		return 4, true
	case btfArray:
		return 12, true
	case btfStruct, 5, 15, 19: // UNION, DATASEC, ENUM64
		return 12 * count, true
	case 6, 13: // ENUM, FUNC_PROTO
		return 8 * count, true
	}
	return 0, false
}

// The function members finds the first struct with the given name. The keys of want are names of members of this struct,
// and the function stores the offset of each member in the value of its key.
func members(b []byte, name string, want map[string]*int16) error {
	le := binary.LittleEndian
	if len(b) < btfHeader || le.Uint16(b) != 0xeb9f {
		return errBTF
	}
	head, types, size, text := int(le.Uint32(b[4:])), int(le.Uint32(b[8:])), int(le.Uint32(b[12:])), int(le.Uint32(b[16:]))
	if head+types+size > len(b) || head+text > len(b) {
		return errBTF
	}
	names := b[head+text:]
	list := b[head+types:][:size]
	for len(list) >= 12 {
		info := le.Uint32(list[4:])
		kind, count := int(info>>24&0x1f), int(info&0xffff)
		more, known := extraSize(kind, count)
		if !known || len(list) < 12+more {
			return errBTF
		}
		if kind == btfStruct && isName(names, le.Uint32(list), name) {
			return offsets(list[12:12+more], info>>31 != 0, names, want)
		}
		list = list[12+more:]
	}
	return fmt.Errorf("the kernel's BTF has no struct %s", name)
}

func offsets(list []byte, bitfields bool, names []byte, want map[string]*int16) error {
	le := binary.LittleEndian
	found := 0
	for ; len(list) >= 12; list = list[12:] {
		for name, offset := range want {
			if !isName(names, le.Uint32(list), name) {
				continue
			}
			bits := le.Uint32(list[8:])
			if bitfields {
				bits &= 0xffffff
			}
			if bits/8 > 1<<14 {
				return errBTF
			}
			*offset = int16(bits / 8)
			found++
		}
	}
	if found != len(want) {
		return errors.New("a member is missing in the kernel's struct tcp_sock")
	}
	return nil
}

func isName(names []byte, at uint32, name string) bool {
	if int64(at) >= int64(len(names)) {
		return false
	}
	rest, ok := bytes.CutPrefix(names[at:], []byte(name))
	return ok && len(rest) > 0 && rest[0] == 0
}

// Ids of the types in stateTypes: the key and the value of the map with the state of each connection.
const (
	keyType   = 1
	valueType = 2
)

// stateTypes returns BTF with the types int and an array of n ints.
func stateTypes(n uint32) []byte {
	le := binary.LittleEndian
	const names = "\x00int\x00"
	var types []byte
	for _, word := range []uint32{
		1, btfInt << 24, 4, 1<<24 | 32, // "int", 4 bytes, signed, 32 bits
		0, btfArray << 24, 0, keyType, keyType, n,
	} {
		types = le.AppendUint32(types, word)
	}
	b := le.AppendUint16(nil, 0xeb9f)
	b = append(b, 1, 0) // version, flags
	for _, word := range []uint32{btfHeader, 0, uint32(len(types)), uint32(len(types)), uint32(len(names))} {
		b = le.AppendUint32(b, word)
	}
	return append(append(b, types...), names...)
}
