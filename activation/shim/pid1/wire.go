package pid1

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Types of messages, and codes of header fields (D-Bus specification, "Message Format").
const (
	typeCall   = 1
	typeReturn = 2
	typeError  = 3

	fieldPath, fieldInterface, fieldMember, fieldSignature = 1, 2, 3, 8
)

// headerSize is the size of the fixed part of a header, and maxMessage the size of the largest message.
const (
	headerSize = 16
	maxMessage = 16 << 20
)

// encoder builds a message. The offset of each value in the message is a multiple of the size of the
// value.
type encoder struct{ b []byte }

func (e *encoder) align(n int) {
	for len(e.b)%n != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) uint32(n uint32) {
	e.align(4)
	e.b = binary.LittleEndian.AppendUint32(e.b, n)
}

func (e *encoder) string(s string) {
	e.uint32(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
}

func (e *encoder) signature(s string) {
	e.b = append(append(append(e.b, byte(len(s))), s...), 0)
}

// field appends a header field whose value is a string, an object path or a signature.
func (e *encoder) field(code byte, kind, value string) {
	e.align(8)
	e.b = append(e.b, code)
	e.signature(kind)
	if kind == "g" {
		e.signature(value)
		return
	}
	e.string(value)
}

// call is a method call. The arguments of a call are strings, or one number.
type call struct {
	path, iface, member string
	words               []string
	number              uint32 // the argument, if words is empty
}

func (c call) encode(serial uint32) []byte {
	var body encoder
	signature := "u"
	if len(c.words) > 0 {
		signature = ""
		for _, w := range c.words {
			signature += "s"
			body.string(w)
		}
	} else {
		body.uint32(c.number)
	}
	e := encoder{b: []byte{'l', typeCall, 0, 1}}
	e.uint32(uint32(len(body.b)))
	e.uint32(serial)
	e.uint32(0) // the length of the fields, which is set below
	e.field(fieldPath, "o", c.path)
	e.field(fieldInterface, "s", c.iface)
	e.field(fieldMember, "s", c.member)
	e.field(fieldSignature, "g", signature)
	binary.LittleEndian.PutUint32(e.b[headerSize-4:], uint32(len(e.b)-headerSize))
	e.align(8)
	return append(e.b, body.b...)
}

// message is a received message.
type message struct {
	kind   byte
	fields []byte
	body   []byte
	order  binary.ByteOrder
}

var errMessage = errors.New("unexpected message of the service manager")

func readMessage(r *bufio.Reader) (message, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	m := message{kind: head[1], order: binary.LittleEndian}
	switch head[0] {
	case 'l':
	case 'B':
		m.order = binary.BigEndian
	default:
		return message{}, errMessage
	}
	body, fields := m.order.Uint32(head[4:]), m.order.Uint32(head[12:])
	if body > maxMessage || fields > maxMessage {
		return message{}, errMessage
	}
	padded := (int(fields) + 7) &^ 7
	rest := make([]byte, padded+int(body))
	if _, err := io.ReadFull(r, rest); err != nil {
		return message{}, err
	}
	m.fields, m.body = rest[:fields], rest[padded:]
	return m, nil
}

// text returns the string in a body that is a variant of type s.
func (m message) text() (string, error) {
	const begin = "\x01s\x00\x00"
	if len(m.body) < len(begin)+4 || string(m.body[:len(begin)]) != begin {
		return "", errMessage
	}
	value := m.body[len(begin):]
	n := m.order.Uint32(value)
	if uint64(n) >= uint64(len(value)-4) {
		return "", errMessage
	}
	return string(value[4 : 4+n]), nil
}

// number returns the number in a body that is a variant of type u (uint32).
func (m message) number() (uint32, error) {
	const begin = "\x01u\x00\x00"
	if len(m.body) < len(begin)+4 || string(m.body[:len(begin)]) != begin {
		return 0, errMessage
	}
	return m.order.Uint32(m.body[len(begin):]), nil
}

// job returns the number of the job in a body that is a variant of type (uo).
func (m message) job() (uint32, error) {
	const begin = "\x04(uo)\x00\x00\x00"
	if len(m.body) < len(begin)+4 || string(m.body[:len(begin)-2]) != begin[:len(begin)-2] {
		return 0, errMessage
	}
	return m.order.Uint32(m.body[len(begin):]), nil
}
