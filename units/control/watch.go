package control

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Change is one thing that happened to a watched unit.
type Change struct {
	State State
	// Ended is the result of a job that ended with this change, or NoResult. Results of jobs that ended while the connection
	// was lost, or before do queued its jobs, are missing; the states are not.
	Ended Result
	// done are the outcomes of the jobs that were queued through the watch, after the last of their changes.
	done []Outcome
}

// Watch is an ordered stream of the changes of some units. It is for one goroutine. What is not read is kept, without
// bound, until Close.
//
// PID 1 sends at most one change of a unit per turn of its loop: a unit that fails and is started again at once may show
// only its new state, with a higher Restarts.
type Watch struct {
	conn   *Conn
	units  []string
	byPath map[dbus.ObjectPath]int
	states []State
	// after are the places of the first looks: a signal from before carries nothing new.
	after   []dbus.Sequence
	dirty   []bool
	pending []Change
	link    *link
	signals chan *dbus.Signal
	// jobs are those that do has queued, until they have ended.
	jobs *wait
	// queued has the place of the reply to the request of do, for each unit. PID 1 replies before it runs the job. A job that
	// ends before the reply is not from do: it may be the automatic restart of a unit that keeps crashing.
	queued []dbus.Sequence
}

// Watch begins to watch the units, which need not be loaded or exist. Nothing that happens after it returned is missed:
// it listens first and looks then.
func (c *Conn) Watch(ctx context.Context, units []string) (*Watch, error) {
	w := &Watch{conn: c, units: slices.Clone(units), byPath: make(map[dbus.ObjectPath]int)}
	for i, u := range w.units {
		w.byPath[unitPath(u)] = i
	}
	if err := w.connect(ctx); err != nil {
		return nil, fmt.Errorf("watching %s: %w", summary(units), err)
	}
	w.pending = nil // the first look is in States
	return w, nil
}

// States gives the units as they were at the last change that Next returned, at first as Watch found them, in the order
// of the units.
func (w *Watch) States() []State { return slices.Clone(w.states) }

// Close ends the watch.
func (w *Watch) Close() {
	if w.link != nil {
		w.link.unlisten(w.signals)
		w.link = nil
	}
}

// Next waits for the next change.
func (w *Watch) Next(ctx context.Context) (Change, error) {
	for {
		if len(w.pending) > 0 {
			c := w.pending[0]
			w.pending = w.pending[1:]
			return c, nil
		}
		var err error
		select {
		case s, ok := <-w.signals:
			switch {
			case !ok:
				err = w.connect(ctx)
			case managerReturned(s):
				err = w.refresh(ctx)
			default:
				w.take(s)
			}
		case <-w.link.gone():
			err = w.connect(ctx)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return Change{}, fmt.Errorf("watching %s: %w", summary(w.units), err)
		}
	}
}

// connect listens on the live connection and looks anew.
func (w *Watch) connect(ctx context.Context) error {
	w.Close()
	for again := (retry{}); ; {
		l, err := w.conn.link(ctx)
		if err != nil {
			return translate(err)
		}
		signals, err := l.listen(ctx, true)
		if err == nil {
			w.link, w.signals, w.queued = l, signals, make([]dbus.Sequence, len(w.units))
			return w.refresh(ctx)
		}
		if err := again.after(ctx, l, err); err != nil {
			return err
		}
	}
}

// refresh looks at all units and reports those that differ from what was known.
func (w *Watch) refresh(ctx context.Context) error {
	states, seqs, err := w.conn.look(ctx, w.units)
	if err != nil {
		return err
	}
	for i, s := range states {
		if w.states == nil || !reflect.DeepEqual(w.states[i], s) {
			w.pending = append(w.pending, Change{State: s})
		}
	}
	w.states, w.after, w.dirty = states, seqs, make([]bool, len(states))
	if w.jobs != nil {
		w.jobs.recover(w.states)
		w.jobsEnded()
	}
	return nil
}

// do queues one job for each of some watched units, as Conn.Do does. That they have ended is told by the watch itself, as
// a Change with the outcomes: so it comes after the changes that went before.
func (w *Watch) do(ctx context.Context, op Op, mode Mode, units []string) error {
	jobs := newWait(op, mode, units)
	for again := (retry{}); ; {
		err := jobs.enqueue(ctx, w.link)
		if err == nil {
			w.jobs = jobs
			w.queuedAt(jobs)
			w.jobsEnded()
			return nil
		}
		if err = again.after(ctx, w.link, err); err == nil {
			err = w.connect(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", op, summary(units), err)
		}
	}
}

// queuedAt notes the place of the reply for each unit. A unit without a request gets its job with the first of them.
func (w *Watch) queuedAt(jobs *wait) {
	for i, u := range w.units {
		w.queued[i] = slices.Min(jobs.replies)
		if at := slices.IndexFunc(jobs.out, func(o Outcome) bool { return o.Unit == u }); at >= 0 {
			w.queued[i] = jobs.replies[at]
		}
	}
}

func (w *Watch) jobsEnded() {
	if w.jobs != nil && len(w.jobs.jobs) == 0 {
		w.pending = append(w.pending, Change{done: w.jobs.out})
		w.jobs = nil
	}
}

// take turns a signal into a change, if it is one. PID 1 sends the part of the unit's type first, then the part that all
// units have (dbus-unit.c, send_changed_signal), and both before the end of a job; the change is complete with the second.
func (w *Watch) take(s *dbus.Signal) {
	if j, ok := jobRemoved(s); ok {
		if i := slices.Index(w.units, j.unit); i >= 0 && s.Sequence > w.after[i] {
			// PID 1 lets go of the job only after it has said so, and after the jobs that fail with it.
			if w.states[i].JobID == j.id {
				w.states[i].JobID, w.states[i].Job = 0, ""
			}
			ended := j.result
			if s.Sequence < w.queued[i] {
				ended = NoResult
			}
			w.pending = append(w.pending, Change{State: w.states[i], Ended: ended})
		}
		if w.jobs != nil {
			w.jobs.removed(j)
			w.jobsEnded()
		}
		return
	}
	i, ok := w.byPath[s.Path]
	if !ok || s.Name != properties+".PropertiesChanged" || len(s.Body) != 3 || s.Sequence < w.after[i] {
		return
	}
	iface, _ := s.Body[0].(string)
	props, _ := s.Body[1].(map[string]dbus.Variant)
	if !strings.HasPrefix(iface, busName) {
		return
	}
	before := w.states[i]
	w.states[i].apply(props)
	w.dirty[i] = w.dirty[i] || !reflect.DeepEqual(before, w.states[i])
	if w.dirty[i] && iface == busName+".Unit" {
		w.dirty[i] = false
		w.pending = append(w.pending, Change{State: w.states[i]})
	}
}
