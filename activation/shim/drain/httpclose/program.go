package httpclose

// limit is the maximum size of the head of a response in bytes. steps is the maximum number of steps of the scan. A step
// skips 8 bytes without an LF, or goes to the beginning of the next line, so the scan can read at least 64 lines. The
// number of steps is limited, because the verifier checks each step.
const (
	limit = 3072
	steps = limit/8 + 64
)

// assemble returns the program. r6 is the address of the state of the connection, r8 is the context, and r9 is the number of
// steps of the scan. At the label "pass", the kernel sends the data of this send, changed or not.
func assemble(m maps, c counters) []insn {
	a := &assembler{labels: make(map[string]int), jumps: make(map[int]string)}
	a.op(mov, 8, 1, 0, 0)
	a.firstSend(m, c)
	a.copy()
	a.statusLine()
	a.head()
	a.rewrite(m)
	a.label("pass")
	a.op(movImm, 0, 0, 0, 1) // SK_PASS
	a.op(exit, 0, 0, 0, 0)
	return a.resolve()
}

// firstSend jumps to "pass" unless this is the first send after a request. A send is the first one after a request if the
// server has read data after its previous send, no received data is unread, and the peer has acknowledged all data that
// was sent before.
func (a *assembler) firstSend(m maps, c counters) {
	a.mapRef(1, m.state)
	a.op(ldx64, 2, 8, msgSock, 0)
	a.op(ldx32, 9, 2, sockState, 0)
	a.op(movImm, 3, 0, 0, 0)
	a.op(movImm, 4, 0, 0, 0)
	a.op(call, 0, 0, 0, storageGet)
	a.jump(jeqImm, 0, 0, 0, "pass")
	a.op(mov, 6, 0, 0, 0)
	a.op(ldx32, 1, 6, stateDone, 0)
	a.jump(jneImm, 1, 0, 0, "pass")
	a.op(ldx64, 1, 8, msgSock, 0)
	a.op(call, 0, 0, 0, toTCPSock)
	a.jump(jeqImm, 0, 0, 0, "pass")
	a.op(ldx64, 7, 0, c.received, 0)
	a.op(ldx32, 1, 0, c.next, 0)
	a.op(ldx32, 2, 0, c.copied, 0)
	a.op(sub32, 1, 2, 0, 0) // r1: number of bytes received and not read
	a.op(sub32, 7, 1, 0, 0) // r7: number of bytes read
	a.op(ldx32, 2, 0, c.written, 0)
	a.op(ldx32, 3, 0, c.unacknowledged, 0)
	a.op(sub32, 2, 3, 0, 0) // r2: number of bytes sent and not acknowledged
	a.op(ldx32, 3, 6, stateRead, 0)
	a.op(ldx32, 4, 6, stateSent, 0)
	a.op(stx32, 6, 7, stateRead, 0)
	a.op(st32, 6, 0, stateSent, 1)
	a.jump(jneImm, 9, 0, established, "pass")
	a.jump(jneImm, 1, 0, 0, "pass")
	a.jump(jneImm, 2, 0, 0, "pass")
	a.jump(jeqImm, 4, 0, 0, "first since Add")
	a.jump(jeq, 3, 7, 0, "pass")
	a.jump(ja, 0, 0, 0, "after a request")
	a.label("first since Add")
	a.lookup(m.initial)
	a.op(ldx32, 1, 0, initialFlags, 0)
	a.jump(jeqImm, 1, 0, 0, "pass")
	a.jump(jsetImm, 1, 0, requestPending, "after a request")
	a.op(ldx32, 1, 0, initialRead, 0)
	a.jump(jeq, 1, 7, 0, "pass")
	a.label("after a request")
}

// The method copy copies the beginning of the send, at most limit bytes, into the state. The copy has a fixed size, so
// the verifier accepts reads at any position of the copy.
func (a *assembler) copy() {
	a.op(ldx64, 3, 8, msgData, 0)
	a.op(ldx64, 2, 8, msgDataEnd, 0)
	a.op(sub, 2, 3, 0, 0)
	a.jump(jltImm, 2, 0, 16, "pass")
	a.jump(jltImm, 2, 0, limit, "fits")
	a.op(movImm, 2, 0, 0, limit)
	a.label("fits")
	a.op(stx32, 6, 2, stateSize, 0)
	a.op(mov, 1, 6, 0, 0)
	a.op(addImm, 1, 0, 0, stateCopy)
	a.op(call, 0, 0, 0, readKernel)
	a.jump(jneImm, 0, 0, 0, "pass")
}

// The method lookup loads the address of the connection's value in a map into r0, and changes r1 to r5.
func (a *assembler) lookup(m int) {
	a.op(ldx32, 1, 6, stateKey, 0)
	a.op(stx32, 10, 1, -4, 0)
	a.mapRef(1, m)
	a.op(mov, 2, 10, 0, 0)
	a.op(addImm, 2, 0, 0, -4)
	a.op(call, 0, 0, 0, mapLookup)
	a.jump(jeqImm, 0, 0, 0, "pass")
}

// statusLine jumps to "pass" unless the copy begins with "HTTP/1.1 " and a status from 200 to 599. 100 Continue must not be
// changed, because the real response follows. 101 must not be changed, because this response needs its Connection header.
func (a *assembler) statusLine() {
	a.op(mov, 1, 6, 0, 0)
	a.op(addImm, 1, 0, 0, stateCopy)
	a.op(ldx32, 3, 1, 0, 0)
	a.constant(4, "HTTP")
	a.jump(jne, 3, 4, 0, "not HTTP")
	a.op(ldx64, 3, 1, 0, 0)
	a.constant(4, "HTTP/1.1")
	a.jump(jne, 3, 4, 0, "pass")
	a.op(ldx8, 3, 1, 8, 0)
	a.jump(jneImm, 3, 0, ' ', "pass")
	for at, low := range []int32{'2', '0', '0'} {
		a.op(ldx8, 3, 1, int16(9+at), 0)
		a.jump(jltImm, 3, 0, low, "pass")
		a.jump(jgtImm, 3, 0, low+map[bool]int32{true: 3, false: 9}[at == 0], "pass")
	}
	a.op(ldx8, 3, 1, 12, 0)
	a.jump(jeqImm, 3, 0, ' ', "status")
	a.jump(jneImm, 3, 0, '\r', "pass")
	a.label("status")
	a.op(st32, 6, 0, stateClose, 0)
	a.op(st32, 6, 0, stateDate, 0)
	a.op(st32, 6, 0, stateFlags, 0)
	// 204 and 304 have no body, so they need no length.
	a.op(ldx8, 3, 1, 9, 0)
	a.jump(jgtImm, 3, 0, '3', "body")
	a.op(ldx16, 3, 1, 10, 0)
	a.jump(jneImm, 3, 0, '0'|'4'<<8, "body")
	a.op(st32, 6, 0, stateFlags, hasLength)
	a.label("body")
}

// The method head scans the lines of the head. The code jumps to "end" at the end of the head, and to "pass" if the head
// is too long.
//
// The results and the position of the scan are in the state, not in registers, because the verifier does not track values in
// memory. With values in registers, the verifier would have to check each path through a step separately.
func (a *assembler) head() {
	const every = 0x0101010101010101
	a.op(st32, 6, 0, stateScan, 12)
	a.op(movImm, 9, 0, 0, 0)
	a.label("step")
	a.jump(jgtImm, 9, 0, steps, "pass")
	a.op(addImm, 9, 0, 0, 1)
	a.scanPosition()
	a.op(ldx64, 3, 1, 0, 0)
	a.number(4, '\n'*every)
	a.op(xor, 3, 4, 0, 0) // now an LF is a zero byte, which (x - 0x01…) & ^x & 0x80… finds
	a.op(mov, 4, 3, 0, 0)
	a.number(5, every)
	a.op(sub, 4, 5, 0, 0)
	a.op(xorImm, 3, 0, 0, -1)
	a.op(and, 4, 3, 0, 0)
	a.number(5, 0x80*every)
	a.op(and, 4, 5, 0, 0)
	a.jump(jneImm, 4, 0, 0, "line")
	a.op(addImm, 2, 0, 0, 8)
	a.op(stx32, 6, 2, stateScan, 0)
	a.jump(ja, 0, 0, 0, "step")
	a.label("line")
	// The lowest bit of r4 marks the first LF. The multiplication counts the bytes up to and including the LF. The number of
	// these bytes is the distance to the next line.
	a.op(mov, 3, 4, 0, 0)
	a.op(neg, 3, 0, 0, 0)
	a.op(and, 4, 3, 0, 0)
	a.op(addImm, 4, 0, 0, -1)
	a.number(5, every)
	a.op(and, 4, 5, 0, 0)
	a.op(mul, 4, 5, 0, 0)
	a.op(rshImm, 4, 0, 0, 56)
	a.op(add, 2, 4, 0, 0)
	a.op(stx32, 6, 2, stateScan, 0)
	a.scanPosition()
	a.line()
}

// scanPosition sets r2 to the position of the scan, and r1 to the address of this position. At least 64 bytes of
// the copy follow this position, and the program reads at most 64 bytes of a line.
func (a *assembler) scanPosition() {
	a.op(ldx32, 2, 6, stateScan, 0)
	a.jump(jgtImm, 2, 0, limit, "pass")
	a.op(mov, 1, 6, 0, 0)
	a.op(add, 1, 2, 0, 0)
	a.op(addImm, 1, 0, 0, stateCopy)
}

// The method line records the header that begins at address r1, which is position r2 in the copy, or jumps to "end" at
// the empty line.
func (a *assembler) line() {
	a.op(ldx8, 3, 1, 0, 0)
	a.jump(jneImm, 3, 0, '\r', "header")
	a.op(ldx8, 3, 1, 1, 0)
	a.jump(jneImm, 3, 0, '\n', "pass")
	a.op(addImm, 2, 0, 0, 2)
	a.jump(ja, 0, 0, 0, "end")

	a.label("header")
	a.op(orImm, 3, 0, 0, 0x20)
	a.jump(jeqImm, 3, 0, 'c', "c")
	a.jump(jeqImm, 3, 0, 's', "s")
	a.jump(jeqImm, 3, 0, 't', "t")
	a.jump(jneImm, 3, 0, 'd', "step")
	a.expect(0, "date: ", "step")
	a.expect(31, " gmt", "step")
	a.op(ldx8, 3, 1, 35, 0)
	a.jump(jneImm, 3, 0, '\r', "step")
	a.op(stx32, 6, 2, stateDate, 0)
	a.jump(ja, 0, 0, 0, "step")

	a.label("s") // Signature and Signature-Input, RFC 9421
	a.expect(0, "signature", "step")
	a.flag(keepHead)

	a.label("t")
	a.expect(0, "transfer-encoding:", "step")
	a.flag(hasLength)

	a.label("c")
	a.expect(0, "content-length:", "connection")
	a.flag(hasLength)

	a.label("connection")
	a.expect(0, "connection:", "step")
	a.expect(11, " keep-alive", "other")
	a.op(ldx8, 3, 1, 22, 0)
	a.jump(jneImm, 3, 0, '\r', "other")
	a.op(ldx32, 3, 6, stateClose, 0)
	a.jump(jneImm, 3, 0, 0, "other") // the head has two of these headers
	a.op(stx32, 6, 2, stateClose, 0)
	a.jump(ja, 0, 0, 0, "step")
	a.label("other")
	a.flag(keepHead)
}

// The method flag sets a flag in stateFlags and continues the scan. The code changes r3.
func (a *assembler) flag(bit int32) {
	a.op(ldx32, 3, 6, stateFlags, 0)
	a.op(orImm, 3, 0, 0, bit)
	a.op(stx32, 6, 3, stateFlags, 0)
	a.jump(ja, 0, 0, 0, "step")
}

// The method rewrite overwrites a header and stores the result. r2 is the position of the end of the head. If r2 is
// beyond this send, the scan has found the end of an earlier head, whose bytes are still in the copy, so rewrite jumps to
// "pass".
func (a *assembler) rewrite(m maps) {
	a.label("end")
	a.op(ldx32, 1, 6, stateSize, 0)
	a.jump(jgt, 2, 1, 0, "pass")
	a.op(ldx32, 1, 6, stateFlags, 0)
	a.jump(jneImm, 1, 0, hasLength, "pass")
	a.op(ldx32, 3, 6, stateClose, 0)
	a.jump(jeqImm, 3, 0, 0, "date")
	a.pointTo(23)
	a.write(12, "     close")
	a.jump(ja, 0, 0, 0, "done")
	a.label("date")
	a.op(ldx32, 3, 6, stateDate, 0)
	a.jump(jeqImm, 3, 0, 0, "pass")
	a.pointTo(36)
	a.write(0, "Connection:                   close")
	a.label("done")
	a.op(st32, 6, 0, stateDone, 1)
	a.lookup(m.results)
	a.op(st32, 0, 0, 0, resultRewritten)
	a.jump(ja, 0, 0, 0, "pass")
	a.label("not HTTP")
	a.lookup(m.results)
	a.op(st32, 0, 0, 0, resultNotHTTP)
}

// pointTo sets r1 to the address of position r3 in the send. pointTo jumps to "pass" if fewer than n bytes follow.
func (a *assembler) pointTo(n int32) {
	a.jump(jgtImm, 3, 0, limit, "pass")
	a.op(ldx64, 1, 8, msgData, 0)
	a.op(ldx64, 4, 8, msgDataEnd, 0)
	a.op(add, 1, 3, 0, 0)
	a.op(mov, 2, 1, 0, 0)
	a.op(addImm, 2, 0, 0, n)
	a.jump(jgt, 2, 4, 0, "pass")
}
