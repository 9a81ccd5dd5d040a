package control

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Change holds a new state of a watched unit, or the outcomes of the jobs that enqueue has queued.
type Change struct {
	State State
	// Ended is the result of a job that ended with this change, or NoResult. Ended is also NoResult for a job that ended
	// while the connection was lost, and for a job that ended before enqueue queued its jobs. The State shows the effect of
	// all jobs.
	Ended Result
	// The field done has the outcomes of the jobs that enqueue has queued. A Change with outcomes follows all changes that
	// the jobs made.
	done []Outcome
}

// Watch is an ordered stream of the changes of some units. Only one goroutine may use a Watch. Changes are stored until Next
// reads them, without a limit on their number.
//
// In each iteration of its event loop, PID 1 sends at most one change per unit. If a unit fails and is restarted in the same
// iteration, the stream contains only the new state, with a higher number of restarts.
type Watch struct {
	conn   *Conn
	units  []string
	byPath map[dbus.ObjectPath]int
	states []State
	// readAt has, for each unit, the sequence number of the reply from which its state was read. Signals with a lower number
	// are older than the state.
	readAt  []dbus.Sequence
	dirty   []bool
	pending []Change
	link    *link
	signals chan *dbus.Signal
	// The field jobs holds the jobs that enqueue has queued, and is nil if no job is left.
	jobs *wait
	// The field queued has, for each unit, the sequence number of the reply to the request for its job. PID 1 sends this
	// reply before it runs the job. If a job ends before this reply, it is therefore another job, for example the automatic
	// restart of a unit that keeps crashing.
	queued []dbus.Sequence
}

// Watch starts to watch the units. A unit need not be loaded or exist. Watch listens to signals before it reads the states,
// so the stream contains every change after the states that [Watch.States] returns first.
func (c *Conn) Watch(ctx context.Context, units []string) (*Watch, error) {
	w := &Watch{conn: c, units: slices.Clone(units), byPath: make(map[dbus.ObjectPath]int)}
	for i, u := range w.units {
		w.byPath[unitPath(u)] = i
	}
	if err := w.connect(ctx); err != nil {
		return nil, fmt.Errorf("watching %s: %w", summary(units), err)
	}
	w.pending = nil // the caller gets the first states from States
	return w, nil
}

// States returns the states of the units, in their order: the states at the start of the watch, with the changes that Next
// has read so far.
func (w *Watch) States() []State { return slices.Clone(w.states) }

// Close ends the watch.
func (w *Watch) Close() {
	if w.link != nil {
		w.link.unlisten(w.signals)
		w.link = nil
	}
}

// Next returns the next change. Next waits until there is one.
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
				w.handle(s)
			}
		case <-w.link.connectionLost():
			err = w.connect(ctx)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return Change{}, fmt.Errorf("watching %s: %w", summary(w.units), err)
		}
	}
}

// The method connect listens to signals on a new connection and reads the states again.
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
		if err := again.wait(ctx, l, err); err != nil {
			return err
		}
	}
}

// The method refresh reads the states of all units, and adds a change for each unit whose state has changed.
func (w *Watch) refresh(ctx context.Context) error {
	states, seqs, err := w.conn.readStates(ctx, w.units)
	if err != nil {
		return err
	}
	for i, s := range states {
		if w.states == nil || !reflect.DeepEqual(w.states[i], s) {
			w.pending = append(w.pending, Change{State: s})
		}
	}
	w.states, w.readAt, w.dirty = states, seqs, make([]bool, len(states))
	if w.jobs != nil {
		w.jobs.update(w.states)
		w.jobsEnded()
	}
	return nil
}

// enqueue queues one job for each of the given units. The units must be watched. When all jobs have ended, Next returns a
// Change with their outcomes, after the changes that the jobs made.
func (w *Watch) enqueue(ctx context.Context, op Op, mode Mode, units []string) error {
	jobs := newWait(op, mode, units)
	for again := (retry{}); ; {
		err := jobs.enqueue(ctx, w.link)
		if err == nil {
			w.jobs = jobs
			w.queuedAt(jobs)
			w.jobsEnded()
			return nil
		}
		if err = again.wait(ctx, w.link, err); err == nil {
			err = w.connect(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", op, summary(units), err)
		}
	}
}

// queuedAt sets the field queued. For a unit without a request, queuedAt uses the first reply, because the unit may get a
// job as a dependency of another unit, but not before the first reply.
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

// The method handle converts a signal of a watched unit to a change. PID 1 first sends the properties of the unit's type,
// and then the properties that all units have (dbus-unit.c, send_changed_signal). PID 1 sends both signals before the end of
// a job, so a change is complete after the second signal.
func (w *Watch) handle(s *dbus.Signal) {
	if j, ok := jobRemoved(s); ok {
		if i := slices.Index(w.units, j.unit); i >= 0 && s.Sequence > w.readAt[i] {
			// PID 1 removes a job after it has sent this signal and the signals of the jobs that fail with it. The state
			// still names the job, so remove the job from the state.
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
			w.jobs.jobRemoved(j)
			w.jobsEnded()
		}
		return
	}
	i, ok := w.byPath[s.Path]
	if !ok || s.Name != properties+".PropertiesChanged" || len(s.Body) != 3 || s.Sequence < w.readAt[i] {
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
