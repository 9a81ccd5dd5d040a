package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// Phase is how far an instance has come.
type Phase int

const (
	// Waiting means that nothing has happened to the instance yet.
	Waiting Phase = iota
	// Starting means that the start job of the instance runs.
	Starting
	// Ready means that the instance is up.
	Ready
	// SkippedByCondition means that a condition keeps the instance down, such as ConditionCPUs= above the number of CPUs.
	SkippedByCondition
	// Finished means that the instance ended by itself, with success, and is not restarted.
	Finished
	// Broken means that the instance failed. The Reason explains how.
	Broken
	// Stopping means that the instance drains or stops before it is started again.
	Stopping
	// LeftAlone means that the instance is down, and that a rolling reload does not start it. The Reason explains why.
	LeftAlone
)

func (p Phase) String() string {
	return [...]string{"waiting", "starting", "ready", "skipped", "finished", "failed", "stopping", "left alone"}[p]
}

// Progress reports that an instance has entered a phase.
type Progress struct {
	Unit     string
	Instance int
	Phase    Phase
	// Reason explains the phases Broken, SkippedByCondition and LeftAlone.
	Reason string
	State  State
}

// InstanceError is the error of the first instance that did not come up or did not stay up.
type InstanceError struct {
	Unit     string
	Instance int
	Reason   string
	State    State
}

func (e *InstanceError) Error() string { return e.Unit + ": " + e.Reason }

// Hint returns the command that unmasks the unit, or "" if the unit is not masked.
func (e *InstanceError) Hint() string {
	if e.State.Load != Masked {
		return ""
	}
	return "sudo systemctl unmask " + e.Unit
}

// SocketError is the error of a socket that did not come up.
type SocketError struct {
	Unit   string
	Listen []string
	Reason string
	State  State
}

func (e *SocketError) Error() string {
	if len(e.Listen) > 0 {
		return fmt.Sprintf("%s: %s: %s", e.Unit, strings.Join(e.Listen, ", "), e.Reason)
	}
	return e.Unit + ": " + e.Reason
}

// Settling is how long the instances of an app must stay up until their start counts as a success.
type Settling struct {
	Time time.Duration
	// Longer, which may be nil, is called when Time has passed, with the states of the instances. It returns how much
	// longer they must stay up; 0 ends the wait.
	Longer func([]State) time.Duration
}

// StartApp starts the app with one job of the aggregate. It returns when every instance is up, or skipped by its condition,
// and has stayed so as long as s requires. It calls progress, which may be nil, for each step from the calling goroutine.
//
// StartApp returns an [*InstanceError] for the first instance that fails, and a [*SocketError] for a socket that cannot
// listen. The queued jobs and systemd's automatic restarts continue after an error, and also after the context has ended.
func (c *Conn) StartApp(ctx context.Context, name units.Name, instances []int, s Settling, progress func(Progress)) error {
	return c.drive(ctx, name, move{op: Start, jobs: []string{name.Service()}, instances: instances, settle: s.Time,
		longer: s.Longer}, progress)
}

// StartInstances starts single instances all at once, and waits like StartApp. If limit is not 0, the instances must be up
// within limit.
func (c *Conn) StartInstances(ctx context.Context, name units.Name, instances []int, settle, limit time.Duration,
	progress func(Progress)) error {
	m := move{op: Start, jobs: instanceUnits(name, instances), instances: instances, settle: settle, limit: limit}
	return c.drive(ctx, name, m, progress)
}

// RestartInstances restarts the instances all at once, keeps the sockets open, and waits like StartApp. It starts an
// instance that is stopped.
func (c *Conn) RestartInstances(ctx context.Context, name units.Name, instances []int, settle time.Duration,
	progress func(Progress)) error {
	return c.drive(ctx, name, move{op: Restart, jobs: instanceUnits(name, instances), instances: instances, settle: settle}, progress)
}

func instanceUnits(name units.Name, instances []int) []string {
	var us []string
	for _, i := range instances {
		us = append(us, name.Instance(i))
	}
	return us
}

// StopApp stops the aggregate of the app, its sockets and each loaded instance, even instances that the aggregate does not
// name. It returns when all are down. StopApp returns nil for an app that does not exist.
func (c *Conn) StopApp(ctx context.Context, name units.Name) error {
	instances, err := c.Loaded(ctx, string(name)+"@*.service")
	if err != nil {
		return err
	}
	states, err := c.States(ctx, append([]string{name.Service()}, instances...))
	if err != nil {
		return err
	}
	// The aggregate comes first. Because of PartOf=, its transaction stops the sockets and the instances together, so no
	// request starts a stopping unit again. When the later requests arrive, their jobs are already queued, except for units
	// that PartOf= does not reach, such as a unit whose file has changed.
	all := append([]string{name.Service()}, socketsOf(states)...)
	all = append(all, instances...)
	return c.stop(ctx, all)
}

// StopInstances stops single instances and returns when they are down. It ignores instances that do not exist.
func (c *Conn) StopInstances(ctx context.Context, name units.Name, instances []int) error {
	return c.stop(ctx, instanceUnits(name, instances))
}

func (c *Conn) stop(ctx context.Context, units []string) error {
	outcomes, err := c.Do(ctx, Stop, Replace, units...)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		switch {
		case o.Err != nil && !errors.Is(o.Err, ErrNotFound) && !errors.Is(o.Err, ErrMasked):
			return fmt.Errorf("stop of %s: %w", o.Unit, o.Err)
		case o.Result == Canceled || o.Result == Dependency || o.Result == Timeout:
			return &JobError{Unit: o.Unit, Op: Stop, Result: o.Result}
		}
	}
	return nil
}

// socketsOf returns the sockets that the units require, sorted.
func socketsOf(states []State) []string {
	var sockets []string
	for _, s := range states {
		for _, r := range s.Requires {
			if strings.HasSuffix(r, ".socket") {
				sockets = append(sockets, r)
			}
		}
	}
	return sortedUnique(sockets)
}

// move is a step of an app: some jobs, and the instances that must be up at its end.
type move struct {
	op        Op
	mode      Mode
	jobs      []string
	instances []int
	settle    time.Duration
	longer    func([]State) time.Duration
	// limit is the time until all instances must be up; 0 means without limit.
	limit time.Duration
	// onKill is called for each instance that was killed because it did not stop. It may be nil.
	onKill func(Killed)
}

// drive queues the jobs and follows the instances until all have settled or one has failed.
func (c *Conn) drive(ctx context.Context, name units.Name, m move, progress func(Progress)) error {
	aggregate, err := c.States(ctx, []string{name.Service()})
	if err != nil {
		return err
	}
	t := newTracker(name, m.op, m.instances, socketsOf(aggregate), progress)
	t.limit, t.longer = m.limit, m.longer
	t.onKill = func(k Killed) {
		c.reportKill(k)
		if m.onKill != nil {
			m.onKill(k)
		}
	}
	w, err := c.Watch(ctx, t.watched())
	if err != nil {
		return err
	}
	t.states = w.States()
	if m.op == Start && t.states[0].Active == Reloading {
		// The app is already started. systemd would merge a job of the aggregate into the reload, which may wait for a lock
		// that we hold.
		m.jobs = instanceUnits(name, m.instances)
	}
	for i := range w.states {
		w.states[i].PreCode, w.states[i].PreStatus = 0, 0 // these values are from an earlier start
	}
	if err := w.do(ctx, m.op, m.mode, m.jobs); err != nil {
		w.Close()
		return err
	}
	ctx, end := c.guard(ctx, m.op, slices.Concat(m.jobs, instanceUnits(name, m.instances)))
	defer end()
	// The goroutine ends with the context. The deferred function closes the watch after that.
	ctx, cancel := context.WithCancel(ctx)
	events, done := make(chan event), make(chan struct{})
	defer func() { cancel(); <-done; w.Close() }()
	go func() {
		defer close(done)
		for {
			change, err := w.Next(ctx)
			if err == nil {
				change, err = w.withCause(ctx, change)
			}
			select {
			case events <- event{change, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return stuck(ctx, t.follow(ctx, events, m.settle))
}

// causeTime is how long a failure is held back until its cause is known.
const causeTime = time.Second

// withCause adds to the failure of an instance how a command before its program ended. No signal contains that, and systemd
// forgets it at the next start. If the next start comes first, withCause waits for the next failure.
func (w *Watch) withCause(ctx context.Context, first Change) (Change, error) {
	i := slices.Index(w.units, first.State.Unit)
	unknown := func(s State) bool {
		failed := s.Result == "exit-code" || s.Result == "signal" || s.Result == "core-dump"
		return failed && s.ExecMainCode == 0 && s.PreCode == 0
	}
	if i < 0 || !unknown(first.State) {
		return first, nil
	}
	within, cancel := context.WithTimeout(ctx, causeTime)
	defer cancel()
	var held []Change
	for change := first; ; {
		if change.State.Unit == first.State.Unit && unknown(change.State) {
			now, err := w.conn.States(within, []string{first.State.Unit})
			if err == nil && now[0].PreCode != 0 {
				first.State.PreCode, first.State.PreStatus = now[0].PreCode, now[0].PreStatus
				w.states[i].PreCode, w.states[i].PreStatus = now[0].PreCode, now[0].PreStatus
				break
			}
		}
		var err error
		if change, err = w.Next(within); err != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
				break
			}
			return first, err
		}
		held = append(held, change)
	}
	w.pending = append(held, w.pending...)
	return first, nil
}
