package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// MaxField is the maximum number of bytes of a field. If a field is longer, its end is dropped, and [Entry.Cut] is set.
// journald accepts fields of hundreds of megabytes.
const MaxField = 16 << 20

// Decoder reads the format of "journalctl -o export" (JOURNAL_EXPORT_FORMATS of systemd). A field is either the line
// NAME=value, or the line NAME and then the size of the value in eight bytes (little-endian), the value and a newline.
// An empty line ends an entry. The format preserves all bytes, which JSON does not.
type Decoder struct {
	r     *bufio.Reader
	entry Entry
	// The field data contains the values of the entry, and the field spans contains the offsets of these values. The
	// offsets stay correct when append moves data to other memory.
	data  []byte
	spans []span
	names map[string]string
}

type span struct {
	name       string
	start, end int
}

// maxNames limits the number of field names in Decoder.names.
const maxNames = 1024

// NewDecoder returns a decoder that reads entries from r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, 64<<10), names: map[string]string{}}
}

// Entries returns all entries of r. An error ends the sequence. Each entry is valid until the next entry is read.
func Entries(r io.Reader) iter.Seq2[*Entry, error] {
	d := NewDecoder(r)
	return func(yield func(*Entry, error) bool) {
		for {
			e, err := d.Next()
			if err == io.EOF || !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Empty reports whether the buffer is empty. If the buffer is empty, Next may block.
func (d *Decoder) Empty() bool { return d.r.Buffered() == 0 }

// Next returns the next entry, which is valid until the next call. After the last entry, Next returns io.EOF. If the
// input ends within an entry, Next returns [io.ErrUnexpectedEOF].
func (d *Decoder) Next() (*Entry, error) {
	d.data, d.spans, d.entry.Cut = d.data[:0], d.spans[:0], false
	for {
		start := len(d.data)
		err := d.line()
		line := d.data[start:]
		switch {
		case err == io.EOF && len(line) == 0 && len(d.spans) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case len(line) == 0 && len(d.spans) == 0:
			continue // more than one empty line
		case len(line) == 0:
			return d.finish(), nil
		}
		if name, _, ok := bytes.Cut(line, []byte("=")); ok {
			d.spans = append(d.spans, span{d.name(name), start + len(name) + 1, len(d.data)})
			continue
		}
		name := d.name(line)
		d.data = d.data[:start]
		if err := d.binary(); err != nil {
			return nil, err
		}
		d.spans = append(d.spans, span{name, start, len(d.data)})
	}
}

// The method finish returns the entry with the fields in d.spans.
func (d *Decoder) finish() *Entry {
	d.entry.Fields = d.entry.Fields[:0]
	for _, s := range d.spans {
		d.entry.Fields = append(d.entry.Fields, Field{s.name, d.data[s.start:s.end:s.end]})
	}
	// Release the memory of a huge entry.
	if cap(d.data) > 1<<20 && len(d.data) < cap(d.data)/8 {
		d.data = nil
	}
	return &d.entry
}

// The method name converts a field name to a string. It returns the same string for equal names, so that each name is
// allocated only once.
func (d *Decoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.names) < maxNames {
		d.names[s] = s
	}
	return s
}

// The method line reads one line, and appends at most MaxField bytes of the line to d.data, without the newline.
func (d *Decoder) line() error {
	left := MaxField
	for {
		part, err := d.r.ReadSlice('\n')
		if err == nil {
			part = part[:len(part)-1]
		}
		n := min(len(part), left)
		d.data = append(d.data, part[:n]...)
		d.entry.Cut = d.entry.Cut || n < len(part)
		left -= n
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// The method binary reads the size and the value of a field, and appends the value to d.data. It does not allocate
// memory for the size in advance, because the size may be wrong.
func (d *Decoder) binary() error {
	var head [8]byte
	if _, err := io.ReadFull(d.r, head[:]); err != nil {
		return unexpected(err)
	}
	size := binary.LittleEndian.Uint64(head[:])
	for kept := 0; size > 0; {
		want := int(min(size, uint64(d.r.Size())))
		part, err := d.r.Peek(want)
		n := min(len(part), MaxField-kept)
		d.data = append(d.data, part[:n]...)
		d.entry.Cut = d.entry.Cut || n < len(part)
		kept += n
		size -= uint64(len(part))
		_, _ = d.r.Discard(len(part)) // cannot fail: these bytes are buffered
		if err != nil {
			return unexpected(err)
		}
	}
	switch c, err := d.r.ReadByte(); {
	case err != nil:
		return unexpected(err)
	case c != '\n':
		return fmt.Errorf("decoding the journal: %q follows a value instead of a newline", c)
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
