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
	// Idle is called when no more lines are available at the moment. A sink should flush its output.
	Idle() error
}

// Read passes the lines of a query to the sink. If q.Follow is true, Read returns nil when the context is canceled.
func Read(ctx context.Context, q Query, sink Sink) error {
	r := &reader{query: q, sink: sink, start: startProgram, sorter: newSorter(q.Scopes), joiner: joiner{incomplete: map[string]*Line{}}}
	return r.read(ctx)
}

// reader executes a query.
type reader struct {
	query  Query
	sink   Sink
	start  start
	sorter *sorter
	joiner joiner
	// cursor is the cursor of the last entry that was read. Before the first entry is read, it is the cursor of the last
	// entry of the journal.
	cursor string
}

func (r *reader) read(ctx context.Context) error {
	if r.query.Follow {
		// Find the end before the history is read, so that no entry between the history and the new entries is lost.
		if err := r.findEnd(ctx); err != nil {
			return r.convertError(ctx, err)
		}
	}
	if r.query.Lines != 0 {
		if err := r.history(ctx); err != nil {
			return r.convertError(ctx, err)
		}
	}
	if r.query.Follow {
		return r.convertError(ctx, r.follow(ctx))
	}
	for _, l := range r.joiner.flush() {
		if err := r.sink.Line(l); err != nil {
			return err
		}
	}
	return r.sink.Idle()
}

// convertError converts an error to the error that Read returns. If a query with Follow was canceled, the result is
// nil. If ctx has ended for another reason, the result is ctx.Err().
func (r *reader) convertError(ctx context.Context, err error) error {
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

// The method history passes the existing lines of the journal to the sink.
func (r *reader) history(ctx context.Context) error {
	p := part{lines: r.query.Lines}
	if r.query.Grep != "" && p.lines != AllLines {
		// With --grep and --lines, the order of the lines depends on the version of journalctl. So the first run reads
		// backwards to find the oldest line to print, and the second run reads forwards from that line. With two runs,
		// clusterctl need not store the lines in memory.
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

// The method entry passes an entry to the sink if the entry belongs to an app and completes a line.
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

// The method run starts journalctl, and calls the function each for every entry.
func (r *reader) run(ctx context.Context, args []string, each func(*Entry) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, wait, err := r.start(ctx, args)
	if err != nil {
		return err
	}
	d := NewDecoder(out)
	for {
		if d.Empty() {
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
		// journalctl has ended, perhaps within an entry. The function wait returns the reason. With Follow, the next
		// journalctl prints the incomplete entry again.
		return wait()
	}
	cancel()
	_ = wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("reading the journal: %w", err)
}
