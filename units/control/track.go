package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// event is a change of one unit, the end of our own jobs, or an error that ends the watch.
type event struct {
	change Change
	err    error
}

// tracker computes the phase of each instance from the changes of the app's units. tracker does no I/O.
type tracker struct {
	name     units.Name
	op       Op
	progress func(Progress)
	// The field units holds the watched units: the aggregate, the sockets, then the instances. The field states holds the
	// states of these units, in the same order.
	units  []*tracked
	states []State
	// The field jobsDone is true when our own jobs have ended.
	jobsDone bool
	// The fields limit, longer and onKill come from the operation.
	limit  time.Duration
	longer func([]State) time.Duration
	onKill func(Killed)
}

type tracked struct {
	unit     string
	instance int // 0 for the aggregate and the sockets
	phase    Phase
	// jobEnded is true if a job of the unit has ended since the tracker began. If no job has ended, the state of the unit
	// may be older than our jobs.
	jobEnded bool
	// The field result is the result of the last job of the unit. The field restarts is the value of NRestarts when the unit
	// became ready.
	result   Result
	restarts int
	// The field wasKilled is true if the instance was killed because it did not stop.
	wasKilled bool
}

func newTracker(name units.Name, op Op, instances []int, sockets []string, progress func(Progress)) *tracker {
	if progress == nil {
		progress = func(Progress) {}
	}
	t := &tracker{name: name, op: op, progress: progress, units: []*tracked{{unit: name.Service()}}}
	for _, s := range sockets {
		t.units = append(t.units, &tracked{unit: s})
	}
	for _, i := range instances {
		t.units = append(t.units, &tracked{unit: name.Instance(i), instance: i})
	}
	return t
}

func (t *tracker) watchedUnits() []string {
	var us []string
	for _, u := range t.units {
		us = append(us, u.unit)
	}
	return us
}

// The method follow returns nil when all instances have been up for the settle time, and an error when one of them fails.
func (t *tracker) follow(ctx context.Context, events <-chan event, settle time.Duration) error {
	var settled, overdue <-chan time.Time
	if t.limit > 0 {
		overdue = time.After(t.limit)
	}
	for {
		select {
		case e := <-events:
			if err := t.handle(e); err != nil {
				return err
			}
		case <-settled:
			more := t.extension()
			if more <= 0 {
				return nil
			}
			settled = time.After(more)
		case <-overdue:
			if err := t.limitError(); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("%s of %s: %w", t.op, t.name, ctx.Err())
		}
		switch {
		case !t.allComplete():
			settled = nil
		case settled == nil:
			if settle <= 0 {
				return nil
			}
			settled = time.After(settle)
		}
	}
}

// extension returns the additional time for which the instances must stay up.
func (t *tracker) extension() time.Duration {
	if t.longer == nil {
		return 0
	}
	var states []State
	for i, u := range t.units {
		if u.instance != 0 {
			states = append(states, t.states[i])
		}
	}
	return t.longer(states)
}

// limitError returns an error for the first instance that is not up within the time limit, or nil if all are up.
func (t *tracker) limitError() error {
	for i, u := range t.units {
		switch s := t.states[i]; {
		case t.complete(i):
		case s.Active == Deactivating:
			return t.fail(u, s, fmt.Sprintf("it has not stopped within %v and is still draining", t.limit))
		default:
			return t.fail(u, s, cmp.Or(Explain(s), fmt.Sprintf("not up within %v", t.limit)))
		}
	}
	return nil
}

// The method complete reports whether an instance is up, skipped by its condition, or finished. The aggregate and the
// sockets are always complete.
func (t *tracker) complete(i int) bool {
	u := t.units[i]
	return u.instance == 0 || u.phase == SkippedByCondition || u.phase == Finished || u.phase == Ready && t.states[i].Up()
}

// allComplete reports whether our jobs have ended and all instances are complete.
func (t *tracker) allComplete() bool {
	for i := range t.units {
		if !t.complete(i) {
			return false
		}
	}
	return t.jobsDone
}

func (t *tracker) handle(e event) error {
	switch {
	case e.err != nil:
		return e.err
	case e.change.done != nil:
		return t.end(e.change.done)
	}
	i := t.find(e.change.State.Unit)
	if i < 0 {
		return nil
	}
	u := t.units[i]
	t.recordKill(u, t.states[i], e.change.State)
	t.states[i] = e.change.State
	// Ignore the result Canceled: our own job may have replaced the canceled job.
	if r := e.change.Ended; r != NoResult && r != Canceled {
		u.jobEnded, u.result = true, r
	}
	if i == 0 && t.op == Start && t.states[i].Active == Reloading && !t.jobsDone {
		// The app is up. systemd has merged our job into a reload job of another command, and the reload still runs.
		return t.end(nil)
	}
	return t.check(i)
}

// The method find returns the index of a unit in units, or -1.
func (t *tracker) find(unit string) int {
	return slices.IndexFunc(t.units, func(u *tracked) bool { return u.unit == unit })
}

// recordKill reports an instance that was killed during its stop. recordKill reports each instance only once, because the
// state shows the kill until the next start.
func (t *tracker) recordKill(u *tracked, before, s State) {
	if u.instance == 0 || u.wasKilled || t.onKill == nil || s.JobID == 0 && before.JobID == 0 {
		return
	}
	if k, killed := killedAtStop(before, s); killed {
		u.wasKilled = true
		t.onKill(k)
	}
}

// The method end processes the results of our own jobs. The aggregate is ordered after its instances, so when the job of the
// aggregate has ended, the jobs of the instances have ended, too.
func (t *tracker) end(outcomes []Outcome) error {
	for _, o := range outcomes {
		switch {
		case o.Err != nil:
			return &RefusedError{Unit: o.Unit, Op: t.op, Err: o.Err}
		case o.Result == Canceled && !t.startsWithoutJob(o.Unit):
			return &JobError{Unit: o.Unit, Op: t.op, Result: o.Result}
		}
	}
	t.jobsDone = true
	for _, u := range t.units {
		u.jobEnded = true
	}
	// Check the sockets before the instances. If a socket has failed, return its error, and not the error of an instance
	// that failed because of the socket.
	for i := range t.units {
		if err := t.check(i); err != nil {
			return err
		}
	}
	for _, o := range outcomes {
		if o.Result != Done && o.Result != Skipped && o.Result != Canceled {
			err := &JobError{Unit: o.Unit, Op: t.op, Result: o.Result}
			if i := t.find(o.Unit); i >= 0 {
				err.Reason = Explain(t.states[i])
			}
			return err
		}
	}
	return nil
}

// startsWithoutJob reports whether an instance starts although its job was canceled. After a failed run, the shim cancels
// the start job of the automatic restart (package pid1). If systemd had merged our job into that start job, our job is
// canceled, too. The start continues, and the tracker finds its end in the state of the unit.
func (t *tracker) startsWithoutJob(unit string) bool {
	i := t.find(unit)
	return i >= 0 && t.units[i].instance != 0 && (t.states[i].Active == Activating || t.states[i].Up())
}

// The method check sets the phase of one unit after a change of its state or the end of a job, and returns an error if the
// unit has failed.
func (t *tracker) check(i int) error {
	u, s := t.units[i], t.states[i]
	switch {
	case u.instance != 0:
		return t.checkInstance(u, s)
	case strings.HasSuffix(u.unit, ".socket") && u.jobEnded && s.JobID == 0 && !s.Up():
		// A socket that has stopped without a failure is an error, too, because nothing listens on its address.
		return &SocketError{Unit: u.unit, Listen: s.Listen, Reason: cmp.Or(Explain(s), "it is not listening"), State: s}
	}
	return nil
}

func (t *tracker) checkInstance(u *tracked, s State) error {
	if u.phase == Ready {
		return t.checkReady(u, s)
	}
	if s.JobID != 0 {
		switch {
		case s.Active == Deactivating:
			t.setPhase(u, s, Stopping, "")
		case s.Active != ActiveRunning || u.phase == Waiting && t.op == Start:
			t.setPhase(u, s, Starting, "")
		}
		return nil
	}
	if !u.jobEnded {
		return nil // this state is older than our jobs
	}
	switch {
	case s.Load != Loaded:
		return t.fail(u, s, Explain(s))
	case s.Up():
		u.restarts = s.Restarts
		t.setPhase(u, s, Ready, "")
	case u.result == Dependency:
		// If a socket had failed, the error of the socket would have been returned before.
		return t.fail(u, s, "a required unit has failed")
	case s.Skipped():
		t.setPhase(u, s, SkippedByCondition, Explain(s))
	case s.Active == ActiveFailed || s.WaitsForRestart():
		return t.fail(u, s, Explain(s))
	case s.Active == Inactive && s.Result == "success" && s.ExecMainCode != 0 && u.result == Done:
		t.setPhase(u, s, Finished, Explain(s))
	case s.Active == Inactive && t.jobsDone:
		return t.fail(u, s, "another job stopped it")
	}
	return nil // the state is not final, so wait for the next change of the unit
}

// checkReady checks an instance that has already been up. With Type=exec, even a program that exits immediately has been up
// for a moment. After a quick automatic restart, only the number of restarts shows that the program has ended.
func (t *tracker) checkReady(u *tracked, s State) error {
	switch {
	case s.Restarts > u.restarts, s.WaitsForRestart(), s.Active == ActiveFailed:
		return t.fail(u, s, cmp.Or(Explain(s), "it ended, and systemd has started it again"))
	case s.Active == Inactive && s.JobID == 0:
		if s.Result == "success" && u.result != Canceled && s.ExecMainCode != 0 {
			t.setPhase(u, s, Finished, Explain(s))
			return nil
		}
		return t.fail(u, s, Explain(s))
	}
	u.restarts = s.Restarts // a start by a user resets the number of restarts
	return nil
}

func (t *tracker) setPhase(u *tracked, s State, p Phase, reason string) {
	if u.phase == p {
		return
	}
	u.phase = p
	t.progress(Progress{Unit: u.unit, Instance: u.instance, Phase: p, Reason: reason, State: s})
}

func (t *tracker) fail(u *tracked, s State, reason string) error {
	reason = cmp.Or(reason, "it did not stay up")
	t.setPhase(u, s, Broken, reason)
	return &InstanceError{Unit: u.unit, Instance: u.instance, Reason: reason, State: s}
}
