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

// Phase is a stage in the start, stop or restart of an instance.
type Phase int

const (
	// Waiting means that the operation has not reached the instance.
	Waiting Phase = iota
	// Starting means that the start job of the instance runs.
	Starting
	// Ready means that the instance is up.
	Ready
	// SkippedByCondition means that a condition of the unit is not met, such as ConditionCPUs= on a machine with too few
	// CPUs.
	SkippedByCondition
	// Finished means that the program of the instance exited with success, and that systemd does not restart it.
	Finished
	// Broken means that the instance failed.
	Broken
	// Stopping means that the instance drains or stops before it is started again.
	Stopping
	// SkippedByReload means that the instance is down, and that the rolling reload does not start it.
	SkippedByReload
)

func (p Phase) String() string {
	return [...]string{"waiting", "starting", "ready", "skipped", "finished", "failed", "stopping", "skipped"}[p]
}

// Progress reports that an instance has entered a phase.
type Progress struct {
	Unit     string
	Instance int
	Phase    Phase
	// Reason explains the phases Broken, SkippedByCondition and SkippedByReload. Reason is empty in all other phases.
	Reason string
	State  State
}

// InstanceError is the error for the first instance that failed to start or failed soon after its start.
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

// SocketError is the error for a socket that does not listen after its start.
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

// Settling holds the time for which the instances of an app must stay up until their start counts as a success.
type Settling struct {
	Time time.Duration
	// Longer is called with the states of the instances when Time has passed. Longer returns the additional time for which
	// the instances must stay up; 0 ends the wait. Longer may be nil.
	Longer func([]State) time.Duration
}

// StartApp starts the app by a start job for the aggregate, the unit NAME.service, which starts the sockets and the
// instances. StartApp returns when all instances have been up for the settle time in s. An instance that is skipped by its
// condition counts as up. When an instance enters a phase, StartApp calls the function progress, which may be nil, in the
// goroutine of the caller.
//
// StartApp returns an [*InstanceError] for the first instance that fails, and a [*SocketError] for a socket that cannot
// listen. After an error, or when the context ends, the queued jobs and the automatic restarts of systemd continue.
func (c *Conn) StartApp(ctx context.Context, name units.Name, instances []int, s Settling, progress func(Progress)) error {
	return c.run(ctx, name, operation{op: Start, jobs: []string{name.Service()}, instances: instances, settle: s.Time,
		longer: s.Longer}, progress)
}

// StartInstances starts the given instances, all at the same time. StartInstances waits until the instances have been up for
// the settle time, and returns the same errors as StartApp. If limit is not 0, an instance that is not up within this time
// is an error.
func (c *Conn) StartInstances(ctx context.Context, name units.Name, instances []int, settle, limit time.Duration,
	progress func(Progress)) error {
	m := operation{op: Start, jobs: instanceUnits(name, instances), instances: instances, settle: settle, limit: limit}
	return c.run(ctx, name, m, progress)
}

// RestartInstances restarts the given instances, all at the same time, while the sockets stay open. RestartInstances also
// starts an instance that is stopped. RestartInstances waits until the instances have been up for the settle time, and
// returns the same errors as StartApp.
func (c *Conn) RestartInstances(ctx context.Context, name units.Name, instances []int, settle time.Duration,
	progress func(Progress)) error {
	return c.run(ctx, name, operation{op: Restart, jobs: instanceUnits(name, instances), instances: instances, settle: settle}, progress)
}

func instanceUnits(name units.Name, instances []int) []string {
	var us []string
	for _, i := range instances {
		us = append(us, name.Instance(i))
	}
	return us
}

// StopApp stops NAME.service, the sockets of the app, and all loaded instances, including instances that NAME.service does
// not start. StopApp returns when all these units are down. If the app does not exist, StopApp returns nil.
func (c *Conn) StopApp(ctx context.Context, name units.Name) error {
	instances, err := c.Loaded(ctx, string(name)+"@*.service")
	if err != nil {
		return err
	}
	states, err := c.States(ctx, append([]string{name.Service()}, instances...))
	if err != nil {
		return err
	}
	// Stop NAME.service first. Because of PartOf=, systemd queues the stop jobs of the sockets and of the instances at the
	// same moment, so a client that connects to a socket cannot start an instance again. Also queue jobs for the sockets and
	// the instances, because a unit that a user has changed may have no PartOf=.
	all := append([]string{name.Service()}, socketsOf(states)...)
	all = append(all, instances...)
	return c.stop(ctx, all)
}

// StopInstances stops the given instances and returns when they are down. StopInstances ignores instances that do not exist.
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

// socketsOf returns the names of the sockets in the Requires= of the units, sorted.
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

// The type operation holds jobs for an app, and the instances that must be up after the jobs.
type operation struct {
	op        Op
	mode      Mode
	jobs      []string
	instances []int
	settle    time.Duration
	longer    func([]State) time.Duration
	// The field limit is the time after which all instances must be up; 0 means no limit.
	limit time.Duration
	// onKill is called for each instance that is killed because it does not stop in time. onKill may be nil.
	onKill func(Killed)
}

// The method run queues the jobs of an operation, and returns nil when all instances have been up for the settle time, and
// an error when one of them fails.
func (c *Conn) run(ctx context.Context, name units.Name, m operation, progress func(Progress)) error {
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
	w, err := c.Watch(ctx, t.watchedUnits())
	if err != nil {
		return err
	}
	t.states = w.States()
	if m.op == Start && t.states[0].Active == Reloading {
		// Another command reloads the app. systemd would merge a start job of NAME.service into the reload job, and this
		// process would wait for the reload. But the reload may wait for the lock of the app, which this process holds. So
		// start only the instances.
		m.jobs = instanceUnits(name, m.instances)
	}
	for i := range w.states {
		w.states[i].PreCode, w.states[i].PreStatus = 0, 0 // remove the values of an earlier start
	}
	if err := w.enqueue(ctx, m.op, m.mode, m.jobs); err != nil {
		w.Close()
		return err
	}
	ctx, end := c.guard(ctx, m.op, slices.Concat(m.jobs, instanceUnits(name, m.instances)))
	defer end()
	// Cancel the context, which ends the goroutine below, and then close the watch.
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
	return guardCause(ctx, t.follow(ctx, events, m.settle))
}

// causeTime is the maximum time for which withCause waits for the cause of a failure.
const causeTime = time.Second

// withCause adds the exit status of the failed ExecStartPre= command to the state of a failed unit. The signals of systemd
// do not contain that status, so withCause reads it with a call. systemd forgets the status at the next start of the unit.
// If the unit has started again before the call, withCause waits for the next failure of the unit.
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
