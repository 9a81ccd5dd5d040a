package control

import (
	"context"
	"errors"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// The type wait describes the jobs of one operation while the caller waits for them.
type wait struct {
	op   Op
	mode Mode
	out  []Outcome
	// jobs maps the object path of each job that still runs to indexes into out. The map jobs is nil until the jobs are
	// queued.
	jobs map[dbus.ObjectPath][]int
	// The field queued is the time just before the jobs were queued, in µs of the monotonic clock.
	queued uint64
	// The field replies has the sequence number of the reply to each request, in the order of out.
	replies []dbus.Sequence
}

func newWait(op Op, mode Mode, units []string) *wait {
	w := &wait{op: op, mode: mode, out: make([]Outcome, len(units)), queued: monotonicMicros()}
	for i, u := range units {
		w.out[i].Unit = u
	}
	return w
}

// The method await queues the jobs if they are not queued yet, and waits until all of them have ended. When a connection is
// lost, the wait continues on a new connection.
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
			continue // the connection was lost during the wait
		}
		if err := again.wait(ctx, l, err); err != nil {
			return err
		}
	}
}

// awaitOn waits for the jobs on one connection. awaitOn returns true when all jobs have ended, and false without an error
// when the connection is lost. awaitOn listens to signals before it queues jobs or reads states, so it receives the end of
// every job.
func (c *Conn) awaitOn(ctx context.Context, l *link, w *wait) (bool, error) {
	signals, err := l.listen(ctx, false)
	if err != nil {
		return false, err
	}
	defer l.unlisten(signals)
	if w.jobs == nil {
		err = w.enqueue(ctx, l)
	} else {
		err = c.findEnded(ctx, w)
	}
	for err == nil && len(w.jobs) > 0 {
		select {
		case s, ok := <-signals:
			switch {
			case !ok:
				return false, nil
			case managerReturned(s):
				err = c.findEnded(ctx, w)
			default:
				if j, ok := jobRemoved(s); ok {
					w.jobRemoved(j)
				}
			}
		case <-l.connectionLost():
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return err == nil, err
}

// enqueue sends all requests, then reads the replies. If the caller has no permission, enqueue returns an error. Any other
// error becomes the outcome of its unit.
func (w *wait) enqueue(ctx context.Context, l *link) error {
	rs := make([]request, len(w.out))
	for i, o := range w.out {
		rs[i] = request{managerPath, w.op.method(), []any{o.Unit, w.mode.String()}}
	}
	calls, err := l.roundTrip(ctx, rs)
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

// jobEnd is the content of the signal JobRemoved(id, path, unit, result).
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
	return jobEnd{id, path, unit, Result(word)}, okID && okPath && okUnit && okWord
}

func (w *wait) jobRemoved(j jobEnd) {
	for _, i := range w.jobs[j.path] {
		w.out[i].Result = j.result
	}
	delete(w.jobs, j.path)
}

// findEnded finds the jobs that ended while the connection could not receive signals.
func (c *Conn) findEnded(ctx context.Context, w *wait) error {
	var units []string
	for _, o := range w.out {
		units = append(units, o.Unit)
	}
	states, err := c.States(ctx, units)
	if err == nil {
		w.update(states)
	}
	return err
}

// The method update removes the jobs that have ended, according to new states of the units. PID 1 keeps its jobs and their
// numbers through a re-execution, so a job that is missing in the state has ended. The state of the unit shows the result of
// the job.
func (w *wait) update(states []State) {
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

// inferResult infers the result of a job from the state of the unit, because no signal with the result was received. The
// parameter since is the time at which the job was queued, in µs of the monotonic clock.
func inferResult(op Op, s State, since uint64) Result {
	switch op {
	case Stop:
		if s.Active == Inactive || s.Active == ActiveFailed {
			return Done
		}
		return Canceled
	case Reload:
		if s.Active == ActiveRunning {
			return Done // a failed reload leaves the unit active, too; only the property ReloadResult would show the failure
		}
		return Failed
	}
	switch s.Active {
	case ActiveRunning, Reloading, Refreshing:
		if op != Start && s.activeMono < since {
			return Canceled // the unit was not restarted
		}
		return Done
	case Inactive:
		if s.Skipped() || op == TryRestart {
			return Done
		}
		return Canceled
	}
	return Failed // the unit has failed or waits for its automatic restart
}

// monotonicMicros returns the time of CLOCK_MONOTONIC in µs, like the properties of systemd that end in Monotonic.
func monotonicMicros() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // this call cannot fail on Linux
	}
	return uint64(t.Nano()) / 1000
}
