package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Sink receives lines.
type Sink interface {
	// Line receives a line, which is valid until Line returns. An error ends the reading.
	Line(*Line) error
	// Idle is called when no more lines are available at the moment, so a sink should flush its output.
	Idle() error
}

// Read passes the lines of a query to the sink. With Follow, it returns nil when the context is canceled.
func Read(ctx context.Context, q Query, sink Sink) error {
	r := &reader{query: q, sink: sink, start: startProgram, sorter: newSorter(q.Scopes), joiner: joiner{held: map[string]*Line{}}}
	return r.read(ctx)
}

// reader executes a query.
type reader struct {
	query  Query
	sink   Sink
	start  start
	sorter *sorter
	joiner joiner
	// cursor is the cursor of the last entry that was read. Before the first entry, it is the end of the journal.
	cursor string
}

func (r *reader) read(ctx context.Context) error {
	if r.query.Follow {
		// First, so that no entry is lost between the history and the new entries.
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

// ended returns nil if a cancelled context has ended the following, and an error otherwise.
func (r *reader) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if r.query.Follow && errors.Is(ctx.Err(), context.Canceled) {
			return nil
		}
		return ctx.Err()
	}
	return err
}

// findEnd sets the cursor to the last entry of the journal.
func (r *reader) findEnd(ctx context.Context) error {
	args := append([]string{"--output=export", "--output-fields=_TRANSPORT", "--quiet", "--no-pager", "--lines=1"}, r.query.namespaces()...)
	return r.run(ctx, args, func(e *Entry) error {
		r.cursor = string(e.Cursor())
		return nil
	})
}

// history passes the lines that are in the journal already.
func (r *reader) history(ctx context.Context) error {
	p := part{lines: r.query.Lines}
	if r.query.Grep != "" && p.lines != AllLines {
		// With --grep, some versions read the last lines backwards and others do not. So a first run finds the oldest of
		// the last lines backwards, and a second run reads forwards from there. This does not keep the lines in memory.
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

// entry passes an entry to the sink if it belongs to an app and completes a line.
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

// run starts journalctl and passes each of its entries to each.
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
		// journalctl ended, perhaps within an entry, and wait returns the reason. Following reads such an entry again from
		// its cursor.
		return wait()
	}
	cancel()
	_ = wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("reading the journal: %w", err)
}
