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
	// Waiting: nothing has happened yet.
	Waiting Phase = iota
	// Starting: its start job runs.
	Starting
	// Ready: it is up.
	Ready
	// SkippedByCondition: a condition keeps it down, as ConditionCPUs= does above the number of CPUs.
	SkippedByCondition
	// Finished: it ended by itself, with success, and is not to be restarted.
	Finished
	// Broken: it failed; Reason says how.
	Broken
	// Stopping: it drains, or ends, before its start.
	Stopping
	// LeftAlone: it is down, and a rolling reload does not start it; Reason says why.
	LeftAlone
)

func (p Phase) String() string {
	return [...]string{"waiting", "starting", "ready", "skipped", "finished", "failed", "stopping", "left alone"}[p]
}

// Progress tells that an instance has entered a phase.
type Progress struct {
	Unit     string
	Instance int
	Phase    Phase
	// Reason says why, in the phases Broken, SkippedByCondition and LeftAlone.
	Reason string
	State  State
}

// InstanceError is the first instance that did not come up, or did not stay up.
type InstanceError struct {
	Unit     string
	Instance int
	Reason   string
	State    State
}

func (e *InstanceError) Error() string { return e.Unit + ": " + e.Reason }

// SocketError is a socket that did not come up.
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

// StartApp starts the app, in one job of the aggregate, and returns when every one of the instances is up, or skipped by
// its condition, and has stayed so for the time to settle. progress, which may be nil, hears of each step, from the
// calling goroutine.
//
// The first instance that fails ends it with an [*InstanceError], a socket that cannot listen with a [*SocketError]; the
// jobs that are queued, and systemd's own restarts, go on. So they do when the context ends.
func (c *Conn) StartApp(ctx context.Context, name units.Name, instances []int, settle time.Duration, progress func(Progress)) error {
	return c.drive(ctx, name, move{op: Start, jobs: []string{name.Service()}, instances: instances, settle: settle}, progress)
}

// Settling is how long the instances of an app have to stay up before its start counts.
type Settling struct {
	Time time.Duration
	// Longer, which may be nil, is called when the time is over, with the states of the instances. It returns how much longer
	// they have to stay up; 0 is the end.
	Longer func([]State) time.Duration
}

// StartNewApp is StartApp with a time to settle that depends on what the instances do.
func (c *Conn) StartNewApp(ctx context.Context, name units.Name, instances []int, s Settling, progress func(Progress)) error {
	return c.drive(ctx, name, move{op: Start, jobs: []string{name.Service()}, instances: instances, settle: s.Time,
		longer: s.Longer}, progress)
}

// StartInstances starts single instances all at once, and waits as StartApp does, but not longer for them to be up than the
// limit, unless that is 0.
func (c *Conn) StartInstances(ctx context.Context, name units.Name, instances []int, settle, limit time.Duration,
	progress func(Progress)) error {
	m := move{op: Start, jobs: instanceUnits(name, instances), instances: instances, settle: settle, limit: limit}
	return c.drive(ctx, name, m, progress)
}

// RestartInstances restarts the instances all at once, leaves the sockets open, and waits as StartApp does. One that is
// stopped is started.
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

// StopApp stops the app: the aggregate, its sockets, and each instance that is loaded, those beyond the list included. It
// returns when all are down. An app that is not there is stopped.
func (c *Conn) StopApp(ctx context.Context, name units.Name) error {
	instances, err := c.Loaded(ctx, string(name)+"@*.service")
	if err != nil {
		return err
	}
	states, err := c.States(ctx, append([]string{name.Service()}, instances...))
	if err != nil {
		return err
	}
	// The aggregate comes first: with PartOf= its transaction stops the sockets and the instances together, so that no
	// request starts again what is stopping. The jobs after it find theirs queued already, but for what PartOf= does not
	// reach, such as a file that has changed.
	all := append([]string{name.Service()}, socketsOf(states)...)
	all = append(all, instances...)
	return c.stop(ctx, all)
}

// StopInstances stops single instances, and returns when they are down. One that is not there is stopped.
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

// socketsOf names the sockets that the units require, sorted.
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

// move is a step of an app: jobs, and the instances that are to be up in the end.
type move struct {
	op        Op
	mode      Mode
	jobs      []string
	instances []int
	settle    time.Duration
	longer    func([]State) time.Duration
	// limit is the time until all are up, or 0 for none.
	limit time.Duration
	// onKill hears of each instance that was killed because it did not stop, or is nil.
	onKill func(Killed)
}

// drive queues the jobs and follows the instances until all have settled, or one has failed.
func (c *Conn) drive(ctx context.Context, name units.Name, m move, progress func(Progress)) error {
	aggregate, err := c.States(ctx, []string{name.Service()})
	if err != nil {
		return err
	}
	t := newTracker(name, m.op, m.instances, socketsOf(aggregate), progress)
	t.limit, t.longer = m.limit, m.longer
	t.onKill = func(k Killed) {
		c.tell(k)
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
		// The app has been started. A job of the aggregate would become one with the reload, which may wait for a lock of ours.
		m.jobs = instanceUnits(name, m.instances)
	}
	for i := range w.states {
		w.states[i].PreCode, w.states[i].PreStatus = 0, 0 // of an earlier start
	}
	if err := w.do(ctx, m.op, m.mode, m.jobs); err != nil {
		w.Close()
		return err
	}
	ctx, end := c.guard(ctx, m.op, slices.Concat(m.jobs, instanceUnits(name, m.instances)))
	defer end()
	// The goroutine ends with the context, and is awaited before the watch is closed.
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

// causeTime is how long a failure is held back to find out what it was.
const causeTime = time.Second

// withCause adds to the failure of an instance how a command before its program ended, which no signal tells. systemd
// forgets it at the next start, which may come before our look; then the next failure is looked at.
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
