package lastword

import "encoding/binary"

// insn is struct bpf_insn; regs holds dst in the low and src in the high half
// (little-endian machines, which amd64 and arm64 are).
type insn struct {
	code, regs uint8
	off        int16
	imm        int32
}

// limit is how far into an answer its headers are looked for, in bytes. The
// verifier walks both loops once for each byte and keeps two jumps each time, of
// 8192 that it can keep.
const limit = 1500

// Opcodes, linux/bpf_common.h and linux/bpf.h.
const (
	ldx8, ldx16, ldx32, ldx64 = 0x71, 0x69, 0x61, 0x79 // dst = *(src + off)
	stx8, stx16, stx64        = 0x73, 0x6b, 0x7b       // *(dst + off) = src
	movImm, mov               = 0xb7, 0xbf
	addImm, add               = 0x07, 0x0f
	or                        = 0x4f
	lddw                      = 0x18 // 64-bit constant, two slots
	jeqImm, jneImm, jgtImm    = 0x15, 0x55, 0x25
	jne, jgt                  = 0x5d, 0x2d
	ja, exit                  = 0x05, 0x95
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

// constant loads the 8 bytes of s, as they lie in memory, into dst.
func (a *assembler) constant(dst uint8, s string) {
	v := binary.LittleEndian.Uint64([]byte(s))
	a.op(lddw, dst, 0, 0, int32(uint32(v)))
	a.op(0, 0, 0, 0, int32(uint32(v>>32)))
}

// expect jumps to label unless the bytes at r1+off are s, letters in either case:
// s is in lower case, and bit 0x20 is set in what is compared. That takes some other
// bytes for equal too (a CR for a "-"), which no header name or value
// that matches otherwise can contain. Uses r3 to r5.
func (a *assembler) expect(off int16, s, label string) {
	for len(s) > 0 {
		n := 8
		load := uint8(ldx64)
		switch {
		case len(s) >= 8:
		case len(s) >= 4:
			n, load = 4, ldx32
		case len(s) >= 2:
			n, load = 2, ldx16
		default:
			n, load = 1, ldx8
		}
		pad, mask := make([]byte, 8), make([]byte, 8)
		copy(pad, s[:n])
		for i := range n {
			mask[i] = 0x20
		}
		a.op(load, 3, 1, off, 0)
		a.constant(4, string(mask))
		a.op(or, 3, 4, 0, 0)
		a.constant(5, string(pad))
		a.jump(jne, 3, 5, 0, label)
		s, off = s[n:], off+int16(n)
	}
}

// write stores s at r1+off. Uses r3.
func (a *assembler) write(off int16, s string) {
	for len(s) > 0 {
		n := 8
		store := uint8(stx64)
		switch {
		case len(s) >= 8:
		case len(s) >= 2:
			n, store = 2, stx16
		default:
			n, store = 1, stx8
		}
		pad := make([]byte, 8)
		copy(pad, s[:n])
		a.constant(3, string(pad))
		a.op(store, 1, 3, off, 0)
		s, off = s[n:], off+int16(n)
	}
}

// scan goes over the lines of the head: body is emitted for each position at
// which a line begins, with r1 at the LF before it and need bytes to read from
// there. It jumps to next to go on, and the scan leaves to end where the head does.
func (a *assembler) scan(next, end string, need int32, body func()) {
	a.op(ldx64, 7, 6, 0, 0) // r7 = msg->data: anew, so that the verifier forgets what
	a.op(ldx64, 8, 6, 8, 0) // r8 = msg->data_end: the scan before this proved
	a.op(movImm, 9, 0, 0, 12)
	a.label(next)
	a.jump(jgtImm, 9, 0, limit, end)
	a.op(mov, 1, 7, 0, 0)
	a.op(add, 1, 9, 0, 0)
	a.op(mov, 2, 1, 0, 0)
	a.op(addImm, 2, 0, 0, need)
	a.jump(jgt, 2, 8, 0, end)
	a.op(addImm, 9, 0, 0, 1)
	a.op(ldx8, 3, 1, 0, 0)
	// The verifier follows the fall-through first and keeps each jump for later,
	// 8192 at most: the usual case has to be the one that falls through.
	a.jump(jeqImm, 3, 0, '\n', next+" begins")
	a.jump(ja, 0, 0, 0, next)
	a.label(next + " begins")
	a.op(ldx8, 3, 1, 1, 0)
	a.jump(jeqImm, 3, 0, '\r', end)
	body()
}

// assemble returns the program. Its context is struct sk_msg_md, in r6.
func assemble() []insn {
	a := &assembler{labels: make(map[string]int), jumps: make(map[int]string)}
	a.op(mov, 6, 1, 0, 0)
	a.op(ldx64, 7, 6, 0, 0)
	a.op(ldx64, 8, 6, 8, 0)
	a.op(mov, 1, 7, 0, 0)
	a.op(addImm, 1, 0, 0, 16)
	a.jump(jgt, 1, 8, 0, "pass")
	a.op(ldx64, 1, 7, 0, 0)
	a.constant(2, "HTTP/1.1")
	a.jump(jne, 1, 2, 0, "pass")
	a.op(ldx8, 1, 7, 9, 0)
	a.jump(jeqImm, 1, 0, '1', "pass") // 100 Continue is no answer, 101 needs its Connection

	a.scan("connection", "date", 24, func() {
		a.expect(1, "connection: keep-alive", "connection")
		a.op(ldx8, 3, 1, 23, 0)
		a.jump(jneImm, 3, 0, '\r', "connection")
		a.write(13, "     close")
		a.jump(ja, 0, 0, 0, "pass")
	})
	a.label("date")
	a.scan("line", "pass", 37, func() {
		a.expect(1, "date: ", "line")
		a.expect(32, " gmt", "line")
		a.op(ldx8, 3, 1, 36, 0)
		a.jump(jneImm, 3, 0, '\r', "line")
		a.write(1, "Connection:                   close")
	})
	a.label("pass")
	a.op(movImm, 0, 0, 0, 1) // SK_PASS
	a.op(exit, 0, 0, 0, 0)
	for at, label := range a.jumps {
		a.code[at].off = int16(a.labels[label] - at - 1)
	}
	return a.code
}
