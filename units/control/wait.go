package control

import (
	"context"
	"errors"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// wait is what Do knows of its jobs.
type wait struct {
	op   Op
	mode Mode
	out  []Outcome
	// jobs are the ones that have not ended, by path, as indexes into out; nil before they were queued.
	jobs map[dbus.ObjectPath][]int
	// queued is the monotonic time before the jobs were queued, in µs.
	queued uint64
	// replies are the places of the replies to the requests, parallel to out.
	replies []dbus.Sequence
}

func newWait(op Op, mode Mode, units []string) *wait {
	w := &wait{op: op, mode: mode, out: make([]Outcome, len(units)), queued: monotonic()}
	for i, u := range units {
		w.out[i].Unit = u
	}
	return w
}

// await goes from connection to connection until no job is left.
func (c *Conn) await(ctx context.Context, w *wait) error {
	for again := (retry{}); ; {
		l, err := c.link(ctx)
		if err != nil {
			return translate(err)
		}
		done, err := c.awaitOn(ctx, l, w)
		switch {
		case done:
			return nil
		case err == nil:
			continue // lost in the middle of a wait
		}
		if err := again.after(ctx, l, err); err != nil {
			return err
		}
	}
}

// awaitOn works on one connection; false without an error means that it was lost. The signals come first, then the jobs,
// so that no end is missed.
func (c *Conn) awaitOn(ctx context.Context, l *link, w *wait) (bool, error) {
	signals, err := l.listen(ctx, false)
	if err != nil {
		return false, err
	}
	defer l.unlisten(signals)
	if w.jobs == nil {
		err = w.enqueue(ctx, l)
	} else {
		err = c.lookAfter(ctx, w)
	}
	for err == nil && len(w.jobs) > 0 {
		select {
		case s, ok := <-signals:
			switch {
			case !ok:
				return false, nil
			case managerReturned(s):
				err = c.lookAfter(ctx, w)
			default:
				if j, ok := jobRemoved(s); ok {
					w.removed(j)
				}
			}
		case <-l.gone():
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return err == nil, err
}

// enqueue sends all requests, then takes the replies. A refusal for want of permission is that of the whole.
func (w *wait) enqueue(ctx context.Context, l *link) error {
	rs := make([]request, len(w.out))
	for i, o := range w.out {
		rs[i] = request{managerPath, w.op.method(), []any{o.Unit, w.mode.String()}}
	}
	calls, err := l.round(ctx, rs)
	if err != nil {
		return err
	}
	w.jobs, w.replies = make(map[dbus.ObjectPath][]int), make([]dbus.Sequence, len(calls))
	for i, call := range calls {
		var path dbus.ObjectPath
		w.replies[i] = call.ResponseSequence
		switch err := translate(call.Store(&path)); {
		case err == nil:
			w.jobs[path] = append(w.jobs[path], i)
		case errors.Is(err, ErrPermission):
			return err
		default:
			w.out[i].Err = err
		}
	}
	return nil
}

// jobEnd is one JobRemoved(id, path, unit, result).
type jobEnd struct {
	id     uint32
	path   dbus.ObjectPath
	unit   string
	result Result
}

func jobRemoved(s *dbus.Signal) (jobEnd, bool) {
	if s.Name != manager+".JobRemoved" || len(s.Body) != 4 {
		return jobEnd{}, false
	}
	id, okID := s.Body[0].(uint32)
	path, okPath := s.Body[1].(dbus.ObjectPath)
	unit, okUnit := s.Body[2].(string)
	word, okWord := s.Body[3].(string)
	return jobEnd{id, path, unit, parseResult(word)}, okID && okPath && okUnit && okWord
}

func (w *wait) removed(j jobEnd) {
	for _, i := range w.jobs[j.path] {
		w.out[i].Result = j.result
	}
	delete(w.jobs, j.path)
}

// lookAfter finds out what became of the jobs while no signal could come.
func (c *Conn) lookAfter(ctx context.Context, w *wait) error {
	var units []string
	for _, o := range w.out {
		units = append(units, o.Unit)
	}
	states, err := c.States(ctx, units)
	if err == nil {
		w.recover(states)
	}
	return err
}

// recover takes a fresh look at the units. PID 1 takes its jobs, by the same numbers, through a re-execution; one that is
// not there any more has ended, and the unit's state says how.
func (w *wait) recover(states []State) {
	now := make(map[string]State)
	for _, s := range states {
		now[s.Unit] = s
	}
	for path, waiting := range w.jobs {
		for _, i := range waiting {
			s := now[w.out[i].Unit]
			if jobPath(s.JobID) == path {
				continue
			}
			w.out[i].Result = inferResult(w.op, s, w.queued)
			delete(w.jobs, path)
		}
	}
}

// inferResult tells from a unit's state how a job ended whose signal was lost. since is when it was queued, in monotonic µs.
func inferResult(op Op, s State, since uint64) Result {
	switch op {
	case Stop:
		if s.Active == Inactive || s.Active == ActiveFailed {
			return Done
		}
		return Canceled
	case Reload:
		if s.Active == ActiveRunning {
			return Done // ReloadResult would tell more; a failed reload leaves the unit as it was
		}
		return Failed
	}
	switch s.Active {
	case ActiveRunning, Reloading, Refreshing:
		if op != Start && s.activeMono < since {
			return Canceled // still the old run
		}
		return Done
	case Inactive:
		if s.Skipped() || op == TryRestart {
			return Done
		}
		return Canceled
	}
	return Failed // failed, or waiting for its automatic restart
}

// monotonic is CLOCK_MONOTONIC in µs, the clock of systemd's *Monotonic properties.
func monotonic() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // it has no way to fail on Linux; 0 makes inferResult trust the state
	}
	return uint64(t.Nano()) / 1000
}
