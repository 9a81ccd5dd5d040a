package httpclose

import (
	"encoding/binary"
	"strings"
)

// insn is struct bpf_insn. The low half of regs is the register dst, and the high half is src (on little-endian machines,
// such as amd64 and arm64).
type insn struct {
	code, regs uint8
	off        int16
	imm        int32
}

// Opcodes from linux/bpf_common.h and linux/bpf.h.
const (
	ldx8, ldx16, ldx32, ldx64 = 0x71, 0x69, 0x61, 0x79 // dst = *(src + off)
	stx8, stx16, stx32, stx64 = 0x73, 0x6b, 0x63, 0x7b // *(dst + off) = src
	st32                      = 0x62                   // *(dst + off) = imm
	movImm, mov, mov32        = 0xb7, 0xbf, 0xbc
	addImm, add, sub, sub32   = 0x07, 0x0f, 0x1f, 0x1c
	or, orImm, and, xor       = 0x4f, 0x47, 0x5f, 0xaf
	xorImm, neg, mul, rshImm  = 0xa7, 0x87, 0x2f, 0x77
	lddw                      = 0x18 // 64-bit constant, two slots
	jeqImm, jneImm, jgtImm    = 0x15, 0x55, 0x25
	jltImm, jsetImm           = 0xa5, 0x45
	jeq, jne, jgt             = 0x1d, 0x5d, 0x2d
	ja, call, exit            = 0x05, 0x85, 0x95
)

// Numbers of kernel helpers from linux/bpf.h.
const (
	mapLookup    = 1
	storageGet   = 107
	readKernel   = 113
	toTCPSock    = 137
	pseudoMapRef = 1 // src of lddw: the constant is the descriptor of a map
)

// assembler collects instructions and resolves jumps to labels.
type assembler struct {
	code   []insn
	labels map[string]int
	jumps  map[int]string
}

func (a *assembler) op(code, dst, src uint8, off int16, imm int32) {
	a.code = append(a.code, insn{code, dst | src<<4, off, imm})
}

func (a *assembler) jump(code, dst, src uint8, imm int32, label string) {
	a.jumps[len(a.code)] = label
	a.op(code, dst, src, 0, imm)
}

func (a *assembler) label(name string) { a.labels[name] = len(a.code) }

// The method resolve sets the distances of the jumps and returns the program.
func (a *assembler) resolve() []insn {
	for at, label := range a.jumps {
		a.code[at].off = int16(a.labels[label] - at - 1)
	}
	return a.code
}

// The method number loads a 64-bit constant into dst.
func (a *assembler) number(dst uint8, v uint64) {
	a.op(lddw, dst, 0, 0, int32(uint32(v)))
	a.op(0, 0, 0, 0, int32(uint32(v>>32)))
}

// The method constant loads the string s, of at most 8 bytes, into dst, in the order of memory. The other bytes of dst
// are zero.
func (a *assembler) constant(dst uint8, s string) {
	var b [8]byte
	copy(b[:], s)
	a.number(dst, binary.LittleEndian.Uint64(b[:]))
}

// The function widest returns the largest size that one instruction can load or store at the beginning of s, and the
// opcodes for this size.
func widest(s string) (n int, load, store uint8) {
	switch {
	case len(s) >= 8:
		return 8, ldx64, stx64
	case len(s) >= 4:
		return 4, ldx32, stx32
	case len(s) >= 2:
		return 2, ldx16, stx16
	}
	return 1, ldx8, stx8
}

// mapRef loads the address of a map into dst.
func (a *assembler) mapRef(dst uint8, fd int) {
	a.op(lddw, dst, pseudoMapRef, 0, int32(fd))
	a.op(0, 0, 0, 0, 0)
}

// The method expect adds code that jumps to label unless the bytes at r1+off are s, in upper or lower case. s must be in
// lower case: the program sets bit 0x20 of each byte before the comparison. With bit 0x20, some different bytes count as
// equal, such as CR and "-". This is harmless, because a header whose other bytes match cannot contain such bytes. The
// code changes r3 to r5.
func (a *assembler) expect(off int16, s, label string) {
	for len(s) > 0 {
		n, load, _ := widest(s)
		a.op(load, 3, 1, off, 0)
		a.constant(4, strings.Repeat("\x20", n))
		a.op(or, 3, 4, 0, 0)
		a.constant(5, s[:n])
		a.jump(jne, 3, 5, 0, label)
		s, off = s[n:], off+int16(n)
	}
}

// The method write adds code that stores s at r1+off and changes r3.
func (a *assembler) write(off int16, s string) {
	for len(s) > 0 {
		n, _, store := widest(s)
		a.constant(3, s[:n])
		a.op(store, 1, 3, off, 0)
		s, off = s[n:], off+int16(n)
	}
}
