package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Sink takes lines.
type Sink interface {
	// Line takes a line, which is valid until it returns. An error ends the reading.
	Line(*Line) error
	// Idle is called when there is nothing more for the moment: what has been written so far should be seen.
	Idle() error
}

// Read gives the lines of a query to the sink. With Follow it goes on until the context ends, which is then no error.
func Read(ctx context.Context, q Query, sink Sink) error {
	r := &reader{query: q, sink: sink, start: startProgram, sorter: newSorter(q.Scopes), joiner: joiner{held: map[string]*Line{}}}
	return r.read(ctx)
}

// reader carries out a query.
type reader struct {
	query  Query
	sink   Sink
	start  start
	sorter *sorter
	joiner joiner
	// cursor is the last entry that was read, or the end of the journal before the first.
	cursor string
}

func (r *reader) read(ctx context.Context) error {
	if r.query.Follow {
		// Before all else, so that nothing falls between what there is and what comes.
		if err := r.findEnd(ctx); err != nil {
			return r.ended(ctx, err)
		}
	}
	if r.query.Lines != 0 {
		if err := r.history(ctx); err != nil {
			return r.ended(ctx, err)
		}
	}
	if r.query.Follow {
		return r.ended(ctx, r.follow(ctx))
	}
	for _, l := range r.joiner.rest() {
		if err := r.sink.Line(l); err != nil {
			return err
		}
	}
	return r.sink.Idle()
}

// ended tells the end of following, which somebody wanted, from an error.
func (r *reader) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if r.query.Follow && errors.Is(ctx.Err(), context.Canceled) {
			return nil
		}
		return ctx.Err()
	}
	return err
}

// findEnd remembers the last entry of all.
func (r *reader) findEnd(ctx context.Context) error {
	args := append([]string{"--output=export", "--output-fields=_TRANSPORT", "--quiet", "--no-pager", "--lines=1"}, r.query.namespaces()...)
	return r.run(ctx, args, func(e *Entry) error {
		r.cursor = string(e.Cursor())
		return nil
	})
}

// history gives what is in the journal already.
func (r *reader) history(ctx context.Context) error {
	p := part{lines: r.query.Lines}
	if r.query.Grep != "" && p.lines != AllLines {
		// With --grep, some versions read the last lines backwards and others do not. The first of them is found backwards,
		// and then they are read forwards, without keeping any.
		back := p
		back.reverse = true
		found := false
		err := r.run(ctx, r.query.arguments(back), func(e *Entry) error {
			p.cursor, found = string(e.Cursor()), true
			return nil
		})
		if err != nil || !found {
			return err
		}
		p.lines = AllLines
	}
	return r.run(ctx, r.query.arguments(p), r.entry)
}

// entry gives one entry to the sink, if it makes a line.
func (r *reader) entry(e *Entry) error {
	if r.query.Follow {
		r.cursor = string(e.Cursor())
	}
	l, ok := r.sorter.line(e, r.query.System)
	if !ok || r.query.Follow && len(r.query.Priorities) > 0 && l.Source != Journald && !slices.Contains(r.query.Priorities, e.Priority()) {
		return nil
	}
	if whole := r.joiner.add(&l); whole != nil {
		return r.sink.Line(whole)
	}
	return nil
}

// run reads what one journalctl writes.
func (r *reader) run(ctx context.Context, args []string, each func(*Entry) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, wait, err := r.start(ctx, args)
	if err != nil {
		return err
	}
	d := NewDecoder(out)
	for {
		if d.Waiting() {
			err = r.sink.Idle()
		}
		var e *Entry
		if err == nil {
			e, err = d.Next()
		}
		if err == nil {
			err = each(e)
		}
		if err != nil {
			break
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		// It ended by itself, be it in the middle of an entry, and says why. Half an entry is read again from its cursor.
		return wait()
	}
	cancel()
	_ = wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("reading the journal: %w", err)
}
