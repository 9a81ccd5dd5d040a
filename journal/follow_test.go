package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// A script replaces journalctl. Each call of the method start returns the next element of outputs and a function wait,
// which returns the next element of ends.
type script struct {
	outputs [][]byte
	ends    []error
	args    [][]string
	// If no output is left, the method start calls the function empty.
	empty func()
}

func (s *script) start(ctx context.Context, args []string) (io.Reader, func() error, error) {
	n := len(s.args)
	s.args = append(s.args, slices.Clone(args))
	if n >= len(s.outputs) {
		if s.empty != nil {
			s.empty()
			<-ctx.Done()
		}
		return strings.NewReader(""), func() error { return ctx.Err() }, nil
	}
	return bytes.NewReader(s.outputs[n]), func() error {
		if n < len(s.ends) {
			return s.ends[n]
		}
		return nil
	}, nil
}

// collector is a sink that stores the messages.
type collector struct {
	lines []string
	err   error
}

func (c *collector) Line(l *Line) error {
	c.lines = append(c.lines, l.Label()+" "+string(l.Get("MESSAGE")))
	return c.err
}

func (c *collector) Idle() error { return nil }

func newReader(q Query, s *script, sink Sink) *reader {
	return &reader{query: q, sink: sink, start: s.start, sorter: newSorter(q.Scopes), joiner: joiner{incomplete: map[string]*Line{}}}
}

// The function argument returns the value of the argument --NAME=VALUE.
func argument(args []string, name string) string {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v
		}
	}
	return ""
}

// TestFollowResumes checks that follow continues at the cursor after a journalctl that was killed in the middle
// of an entry, and after a journalctl that has ended. The next journalctl prints the entry at the cursor again,
// which must not be passed to the sink twice.
func TestFollowResumes(t *testing.T) {
	one, two, three, four := worker(1, "1", "one"), worker(2, "2", "two"), worker(3, "1", "three"), worker(4, "2", "four")
	foreign := entry("__CURSOR", "s=1;i=0", "_SYSTEMD_UNIT", "other.service")
	half := encode(two)
	s := &script{
		outputs: [][]byte{
			encode(foreign), // the end of the journal
			encode(one),     // history
			append(encode(one), half[:len(half)-20]...), // the first journalctl with --follow is killed
			encode(one, two, three),                     // the second one ends
			encode(three, four),                         // the third one continues
		},
		ends: []error{nil, nil, errors.New("signal: killed")},
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.empty = cancel
	sink := &collector{}
	if err := newReader(Query{Scopes: []Scope{shop()}, Lines: 15, Follow: true}, s, sink).read(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"shop@1 one", "shop@2 two", "shop@1 three", "shop@2 four"}; !slices.Equal(sink.lines, want) {
		t.Errorf("got %q, want %q", sink.lines, want)
	}
	var cursors []string
	for _, args := range s.args[2:] {
		if !slices.Contains(args, "--follow") {
			t.Errorf("the arguments %q do not contain --follow", args)
		}
		cursors = append(cursors, argument(args, "cursor"))
	}
	if want := []string{"s=1;i=1", "s=1;i=1", "s=1;i=3", "s=1;i=4"}; !slices.Equal(cursors, want) {
		t.Errorf("got the cursors %q, want %q", cursors, want)
	}
}

// TestFollowFromTheEnd checks that follow with Lines: 0 begins after the last entry of the journal, and that this
// entry is not passed to the sink.
func TestFollowFromTheEnd(t *testing.T) {
	one, two := worker(1, "1", "one"), worker(2, "2", "two")
	s := &script{outputs: [][]byte{encode(one), encode(one, two)}}
	ctx, cancel := context.WithCancel(t.Context())
	s.empty = cancel
	sink := &collector{}
	if err := newReader(Query{Scopes: []Scope{shop()}, Lines: 0, Follow: true}, s, sink).read(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"shop@2 two"}; !slices.Equal(sink.lines, want) {
		t.Errorf("got %q, want %q", sink.lines, want)
	}
}

// TestFollowGivesUp checks that follow returns an error if journalctl always fails, if the sink fails, and if an
// argument is invalid.
func TestFollowGivesUp(t *testing.T) {
	broken := errors.New("journalctl: it is broken")
	s := &script{outputs: make([][]byte, 10), ends: []error{nil, broken, broken, broken, broken}}
	err := newReader(Query{Scopes: []Scope{shop()}, Follow: true}, s, &collector{}).read(t.Context())
	if !errors.Is(err, broken) || len(s.args) != 1+maxSilentEnds {
		t.Errorf("got %d starts, error %v, want %d starts, error %v", len(s.args), err, 1+maxSilentEnds, broken)
	}
	full := errors.New("full")
	s = &script{outputs: [][]byte{nil, encode(worker(1, "1", "one"), worker(2, "1", "two"))}}
	sink := &collector{err: full}
	if err := newReader(Query{Scopes: []Scope{shop()}, Follow: true}, s, sink).read(t.Context()); !errors.Is(err, full) ||
		len(sink.lines) != 1 {
		t.Errorf("got %q, error %v, want one line, error %v", sink.lines, err, full)
	}
	s = &script{outputs: make([][]byte, 2), ends: []error{nil, &ArgumentError{Flag: "grep"}}}
	var wrong *ArgumentError
	if err := newReader(Query{Scopes: []Scope{shop()}, Follow: true}, s, &collector{}).read(t.Context()); !errors.As(err, &wrong) ||
		len(s.args) != 2 {
		t.Errorf("got %d starts, error %v, want 2 starts and an ArgumentError", len(s.args), err)
	}
}

// TestGrepLastLines checks the two runs of journalctl for Grep with Lines: the first run reads backwards, and the
// second run begins at the oldest line of the first run.
func TestGrepLastLines(t *testing.T) {
	one, two := worker(1, "1", "one"), worker(2, "2", "two")
	s := &script{outputs: [][]byte{encode(two, one), encode(one, two)}}
	sink := &collector{}
	if err := newReader(Query{Scopes: []Scope{shop()}, Lines: 2, Grep: "o"}, s, sink).read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"shop@1 one", "shop@2 two"}; !slices.Equal(sink.lines, want) {
		t.Errorf("got %q, want %q", sink.lines, want)
	}
	if !slices.Contains(s.args[0], "--reverse") || argument(s.args[1], "cursor") != "s=1;i=1" || argument(s.args[1], "lines") != "" {
		t.Errorf("got the arguments %q, want --reverse, and then --cursor=s=1;i=1 without --lines", s.args)
	}
}

func TestJoin(t *testing.T) {
	cut := func(n int, i, m string) Entry { return worker(n, i, m, "_LINE_BREAK", "line-max") }
	s := &script{outputs: [][]byte{encode(
		cut(1, "1", "aa"), cut(2, "2", "xx"), worker(3, "3", "whole"), cut(4, "1", "bb"), worker(5, "1", "c"),
		worker(6, "1", "d"), worker(7, "2", "y", "_LINE_BREAK", "eof"),
		cut(8, "1", "the rest is missing"), worker(9, "3", "nul", "_LINE_BREAK", "nul"),
	)}}
	sink := &collector{}
	scope := shop()
	if err := newReader(Query{Scopes: []Scope{scope}, Lines: AllLines}, s, sink).read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"shop@3 whole", "shop@1 aabbc", "shop@1 d", "shop@2 xxy", "shop@3 nul",
		"shop@1 the rest is missing"}; !slices.Equal(sink.lines, want) {
		t.Errorf("got %q, want %q", sink.lines, want)
	}
	// If a program never ends its line, the joiner must return the line in pieces.
	j := joiner{incomplete: map[string]*Line{}}
	piece := cut(1, "1", strings.Repeat("z", 1<<20))
	given := 0
	for range 20 {
		if l := j.add(&Line{Entry: &piece}); l != nil {
			given += len(l.Get("MESSAGE"))
		}
	}
	for _, l := range j.flush() {
		given += len(l.Get("MESSAGE"))
	}
	if given != 20<<20 {
		t.Errorf("got %d bytes, want %d", given, 20<<20)
	}
}
