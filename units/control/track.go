package control

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// event is a change of one unit, the end of our own jobs, or the end of the watch.
type event struct {
	change Change
	err    error
}

// tracker decides from the changes of an app's units how far each instance has come. It does no I/O.
type tracker struct {
	name     units.Name
	op       Op
	progress func(Progress)
	// all are the watched units: the aggregate, the sockets, then the instances. states is in the same order.
	all    []*tracked
	states []State
	// finished reports whether our own jobs have ended.
	finished bool
	// limit is the time until all instances must be up; 0 means without limit.
	limit time.Duration
	// longer may extend the time to settle; see Settling.
	longer func([]State) time.Duration
	// onKill is called for each instance that was killed because it did not stop. It may be nil.
	onKill func(Killed)
}

// tracked is one unit of the app.
type tracked struct {
	unit     string
	instance int // 0 for the aggregate and the sockets
	phase    Phase
	// jobEnded reports whether a job of the unit has ended since the tracker began. Before that, the unit's state is older
	// than our jobs.
	jobEnded bool
	// result is how that job ended. restarts is NRestarts when the unit became ready.
	result   Result
	restarts int
	// killed reports whether the instance was killed because it did not stop.
	killed bool
}

func newTracker(name units.Name, op Op, instances []int, sockets []string, progress func(Progress)) *tracker {
	if progress == nil {
		progress = func(Progress) {}
	}
	t := &tracker{name: name, op: op, progress: progress, all: []*tracked{{unit: name.Service()}}}
	for _, s := range sockets {
		t.all = append(t.all, &tracked{unit: s})
	}
	for _, i := range instances {
		t.all = append(t.all, &tracked{unit: name.Instance(i), instance: i})
	}
	return t
}

func (t *tracker) watched() []string {
	var us []string
	for _, u := range t.all {
		us = append(us, u.unit)
	}
	return us
}

// follow returns nil when all instances have been up for the time to settle, and an error at the first failure.
func (t *tracker) follow(ctx context.Context, events <-chan event, settle time.Duration) error {
	var settled, overdue <-chan time.Time
	if t.limit > 0 {
		overdue = time.After(t.limit)
	}
	for {
		select {
		case e := <-events:
			if err := t.take(e); err != nil {
				return err
			}
		case <-settled:
			more := t.more()
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
		case !t.up():
			settled = nil
		case settled == nil:
			if settle <= 0 {
				return nil
			}
			settled = time.After(settle)
		}
	}
}

// more returns how much longer the instances have to stay up.
func (t *tracker) more() time.Duration {
	if t.longer == nil {
		return 0
	}
	var states []State
	for i, u := range t.all {
		if u.instance != 0 {
			states = append(states, t.states[i])
		}
	}
	return t.longer(states)
}

// limitError returns the error of the first instance that is not up within the limit.
func (t *tracker) limitError() error {
	for i, u := range t.all {
		switch s := t.states[i]; {
		case t.arrived(i):
		case s.Active == Deactivating:
			return t.broken(u, s, fmt.Sprintf("it has not stopped within %v and is still draining", t.limit))
		default:
			return t.broken(u, s, cmp.Or(Explain(s), fmt.Sprintf("not up within %v", t.limit)))
		}
	}
	return nil
}

// arrived reports whether an instance is up, skipped by its condition or finished. It returns true for other units.
func (t *tracker) arrived(i int) bool {
	u := t.all[i]
	return u.instance == 0 || u.phase == SkippedByCondition || u.phase == Finished || u.phase == Ready && t.states[i].Up()
}

// up reports whether our jobs have ended and every instance has arrived.
func (t *tracker) up() bool {
	for i := range t.all {
		if !t.arrived(i) {
			return false
		}
	}
	return t.finished
}

func (t *tracker) take(e event) error {
	switch {
	case e.err != nil:
		return e.err
	case e.change.done != nil:
		return t.end(e.change.done)
	}
	for i, u := range t.all {
		if u.unit == e.change.State.Unit {
			t.noteKilled(u, t.states[i], e.change.State)
			t.states[i] = e.change.State
			// The result Canceled shows nothing about the unit, because our own job may have replaced the canceled one.
			if r := e.change.Ended; r != NoResult && r != Canceled {
				u.jobEnded, u.result = true, r
			}
			if i == 0 && t.op == Start && t.states[i].Active == Reloading && !t.finished {
				// The app has started. systemd has merged our job into a reload that another command queued, and that
				// reload still runs.
				return t.end(nil)
			}
			return t.judge(i)
		}
	}
	return nil
}

// noteKilled reports an instance that was killed while it stopped, once. The state that shows the kill lasts until the next
// start.
func (t *tracker) noteKilled(u *tracked, before, s State) {
	if u.instance == 0 || u.killed || t.onKill == nil || s.JobID == 0 && before.JobID == 0 {
		return
	}
	if k, killed := killedAtStop(before, s); killed {
		u.killed = true
		t.onKill(k)
	}
}

// end handles the results of our own jobs. The aggregate is ordered after its instances, so when its job has ended, the
// jobs of the instances have ended, too.
func (t *tracker) end(outcomes []Outcome) error {
	for _, o := range outcomes {
		switch {
		case o.Err != nil:
			return &RefusedError{Unit: o.Unit, Op: t.op, Err: o.Err}
		case o.Result == Canceled && !t.startsWithoutJob(o.Unit):
			return &JobError{Unit: o.Unit, Op: t.op, Result: o.Result}
		}
	}
	t.finished = true
	for _, u := range t.all {
		u.jobEnded = true
	}
	// The sockets come first. If a socket has failed, its error is returned, and not the error of an instance that failed
	// because of it.
	for i := range t.all {
		if err := t.judge(i); err != nil {
			return err
		}
	}
	for _, o := range outcomes {
		if o.Result != Done && o.Result != Skipped && o.Result != Canceled {
			return &JobError{Unit: o.Unit, Op: t.op, Result: o.Result, Reason: t.reason(o.Unit)}
		}
	}
	return nil
}

// startsWithoutJob reports whether an instance starts without a job. The shim cancels the start job of a restart after a
// failed run (package pid1), and systemd may have merged our job into that job. The start continues, and the state of the
// unit shows its end.
func (t *tracker) startsWithoutJob(unit string) bool {
	for i, u := range t.all {
		if u.unit == unit {
			s := t.states[i]
			return u.instance != 0 && (s.Active == Activating || s.Up())
		}
	}
	return false
}

func (t *tracker) reason(unit string) string {
	for i, u := range t.all {
		if u.unit == unit {
			return Explain(t.states[i])
		}
	}
	return ""
}

// judge checks one unit after its state has changed or a job has ended.
func (t *tracker) judge(i int) error {
	u, s := t.all[i], t.states[i]
	switch {
	case u.instance != 0:
		return t.judgeInstance(u, s)
	case strings.HasSuffix(u.unit, ".socket") && u.jobEnded && s.JobID == 0 && !s.Up():
		// A socket that did not fail but is down is an error, too, because nothing listens on its address then.
		return &SocketError{Unit: u.unit, Listen: s.Listen, Reason: cmp.Or(Explain(s), "it is not listening"), State: s}
	}
	return nil
}

func (t *tracker) judgeInstance(u *tracked, s State) error {
	if u.phase == Ready {
		return t.judgeReady(u, s)
	}
	if s.JobID != 0 {
		switch {
		case s.Active == Deactivating:
			t.enter(u, s, Stopping, "")
		case s.Active != ActiveRunning || u.phase == Waiting && t.op == Start:
			t.enter(u, s, Starting, "")
		}
		return nil
	}
	if !u.jobEnded {
		return nil // this state is older than our jobs
	}
	switch {
	case s.Load != Loaded:
		return t.broken(u, s, Explain(s))
	case s.Up():
		u.restarts = s.Restarts
		t.enter(u, s, Ready, "")
	case u.result == Dependency:
		// If a socket failed, its failure has been reported before.
		return t.broken(u, s, "a required unit has failed")
	case s.Skipped():
		t.enter(u, s, SkippedByCondition, Explain(s))
	case s.Active == ActiveFailed || s.WaitsForRestart():
		return t.broken(u, s, Explain(s))
	case s.Active == Inactive && s.Result == "success" && s.ExecMainCode != 0 && u.result == Done:
		t.enter(u, s, Finished, Explain(s))
	case s.Active == Inactive && t.finished:
		return t.broken(u, s, "another job stopped it")
	}
	return nil // the unit is between two of these states
}

// judgeReady checks an instance that has been up. With Type=exec, even a program that ends at once has been up. systemd
// starts it again, and after a quick restart only the number of restarts shows that.
func (t *tracker) judgeReady(u *tracked, s State) error {
	switch {
	case s.Restarts > u.restarts, s.WaitsForRestart(), s.Active == ActiveFailed:
		return t.broken(u, s, cmp.Or(Explain(s), "it ended, and systemd has started it again"))
	case s.Active == Inactive && s.JobID == 0:
		if s.Result == "success" && u.result != Canceled && s.ExecMainCode != 0 {
			t.enter(u, s, Finished, Explain(s))
			return nil
		}
		return t.broken(u, s, Explain(s))
	}
	u.restarts = s.Restarts // a manual start resets the count, except between two runs
	return nil
}

func (t *tracker) enter(u *tracked, s State, p Phase, reason string) {
	if u.phase == p {
		return
	}
	u.phase = p
	t.progress(Progress{Unit: u.unit, Instance: u.instance, Phase: p, Reason: reason, State: s})
}

func (t *tracker) broken(u *tracked, s State, reason string) error {
	reason = cmp.Or(reason, "it did not stay up")
	t.enter(u, s, Broken, reason)
	return &InstanceError{Unit: u.unit, Instance: u.instance, Reason: reason, State: s}
}
