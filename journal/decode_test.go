package journal

import (
	"bytes"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll returns copies of the entries in r.
func readAll(r io.Reader) (entries []Entry, err error) {
	for e, err := range Entries(r) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, *e.Clone())
	}
	return entries, nil
}

func TestDecode(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	want := []Entry{
		entry("__CURSOR", "s=1;i=1", "MESSAGE", "plain = text"),
		entry("MESSAGE", "two\nlines", "EMPTY", "", "MESSAGE", "again", "B", "\x00\xff\n\n"),
		entry("MESSAGE", big, "AFTER", "1"),
		entry("MESSAGE", big+"\x00"),
		entry("MESSAGE", ""),
	}
	data := encode(want...)
	for name, r := range map[string]io.Reader{
		"all at once": bytes.NewReader(data), "byte by byte": iotest.OneByteReader(bytes.NewReader(data)),
		"half of each buffer": iotest.HalfReader(bytes.NewReader(data)),
		"empty lines":         bytes.NewReader(append([]byte("\n\n"), data...)),
	} {
		got, err := readAll(r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %d entries, error %v, want the %d entries that were encoded", name, len(got), err, len(want))
		}
	}
}

// TestDecodeEndsAnywhere cuts the input after each byte, because journalctl can be killed at any time. Complete entries
// must be returned, and incomplete entries must not.
func TestDecodeEndsAnywhere(t *testing.T) {
	one, two := encode(entry("A", "1", "B", "\x00\n")), encode(entry("C", "2", "D", "\xff\xff"))
	data := append(bytes.Clone(one), two...)
	for n := range data {
		got, err := readAll(bytes.NewReader(data[:n]))
		want := 0
		if n >= len(one) {
			want = 1
		}
		whole := n == 0 || n == len(one)
		if len(got) != want || (err == nil) != whole || err != nil && err != io.ErrUnexpectedEOF {
			t.Errorf("the first %d of %d bytes: got %d entries, error %v, want %d entries", n, len(data), len(got), err, want)
		}
	}
}

func TestDecodeBounds(t *testing.T) {
	// The size of the field is larger than the input. Next must not allocate memory of this size.
	lie := append([]byte("MESSAGE\n"), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 'x')
	if got, err := readAll(bytes.NewReader(lie)); len(got) != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("a size without a value: got %d entries, error %v, want io.ErrUnexpectedEOF", len(got), err)
	}
	if _, err := readAll(strings.NewReader("MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00ab\n\n")); err == nil || err == io.ErrUnexpectedEOF {
		t.Errorf("a value that is longer than its size: got error %v, want an error other than io.ErrUnexpectedEOF", err)
	}
	for _, value := range []string{strings.Repeat("y", MaxField+10), "\x00" + strings.Repeat("y", MaxField+10)} {
		got, err := readAll(bytes.NewReader(encode(entry("MESSAGE", value, "AFTER", "1"))))
		if err != nil || len(got) != 1 || !got[0].Cut || string(got[0].Get("AFTER")) != "1" ||
			!strings.HasPrefix(value, string(got[0].Get("MESSAGE"))) {
			t.Fatalf("got %d entries, error %v, want one entry with Cut and the field AFTER", len(got), err)
		}
		if n := len(got[0].Get("MESSAGE")); n > MaxField || n < MaxField-20 {
			t.Errorf("got %d bytes of a field, want about %d", n, MaxField)
		}
	}
}

// A repeated reader returns the bytes in the field data several times. The field remaining is the remaining number of times.
type repeated struct {
	data      []byte
	remaining int
	at        int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.remaining == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.data[r.at:])
	if r.at += n; r.at == len(r.data) {
		r.at, r.remaining = 0, r.remaining-1
	}
	return n, nil
}

// TestMemory checks that the memory of the decoder, the sorter, the joiner and the formatter does
// not grow with the number of lines.
func TestMemory(t *testing.T) {
	s := newSorter([]Scope{shop()})
	j := joiner{incomplete: map[string]*Line{}}
	f := Formatter{Colour: true}
	d := NewDecoder(&repeated{data: encode(worker(1, "1", strings.Repeat("m", 100)), worker(2, "2", "x\ny")), remaining: 100_000})
	var before, after runtime.MemStats
	var line []byte
	for n := 0; ; n++ {
		e, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if l, ok := s.line(e, true); ok {
			line = f.Append(line[:0], j.add(&l))
		}
		if n == 1000 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+1<<20 {
		t.Errorf("the heap has grown from %d to %d bytes, want at most 1 MiB more", before.HeapAlloc, after.HeapAlloc)
	}
}

// FuzzDecode checks that any input gives entries or an error, without a panic, and that entries do
// not change when they are encoded and decoded again.
func FuzzDecode(f *testing.F) {
	f.Add(encode(worker(1, "1", "hello"), worker(2, "2", "two\nlines\x00")))
	f.Add([]byte("A=1\nB\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n\n"))
	f.Add([]byte("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\n\n=\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := readAll(bytes.NewReader(data))
		slow, slowErr := readAll(iotest.OneByteReader(bytes.NewReader(data)))
		if !reflect.DeepEqual(entries, slow) || (err == nil) != (slowErr == nil) {
			t.Fatalf("got %v, error %v; one byte per read: got %v, error %v", entries, err, slow, slowErr)
		}
		again, err := readAll(bytes.NewReader(encode(entries...)))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%d entries became %d, error %v", len(entries), len(again), err)
		}
		for i := range entries {
			if !reflect.DeepEqual(entries[i].Fields, again[i].Fields) {
				t.Fatalf("%q became %q", entries[i].Fields, again[i].Fields)
			}
		}
		s := newSorter([]Scope{shop()})
		for i := range entries {
			if l, ok := s.line(&entries[i], true); ok {
				AppendJSON((&Formatter{Fields: true}).Append(nil, &l), &l, true)
			}
		}
	})
}
