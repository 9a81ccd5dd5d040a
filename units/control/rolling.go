package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
)

// RollOptions are the options of a rolling reload. The zero value replaces one instance at a time, without a settle time.
type RollOptions struct {
	// Batch is the number of instances that are replaced at the same time. Values below 1 count as 1.
	Batch int
	// Surge is the number of extra instances that are started first and stopped last. The numbers of the extra instances
	// follow the highest number of an instance. The caller must make sure that the conditions of the extra instances, such
	// as ConditionCPUs=, are met.
	Surge int
	// Settle is the time for which a new instance must stay up before the next one is replaced.
	Settle time.Duration
	// Force continues the reload after an instance was killed because it did not stop.
	Force bool
	// Timeout is the maximum time from the start of the drain of an instance until the instance is up again. With 0, only
	// the timeouts of the unit apply.
	Timeout time.Duration
}

// RollOutcome is the result of a rolling reload for one instance.
type RollOutcome int

const (
	// RollUntouched means that the reload ended before it replaced the instance.
	RollUntouched RollOutcome = iota
	// RollReloaded means that the instance was replaced and is up.
	RollReloaded
	// RollStarted means that the instance was down after a failure and is now up.
	RollStarted
	// RollFailed means that the instance did not come up again.
	RollFailed
	// RollSkipped means that the reload does not start the instance, because a user stopped or masked it, or because its
	// condition is not met.
	RollSkipped
)

func (o RollOutcome) String() string {
	return [...]string{"untouched", "reloaded", "started", "failed", "skipped"}[o]
}

// Rolled describes the result of a rolling reload for one instance.
type Rolled struct {
	Instance int
	Unit     string
	Outcome  RollOutcome
	// Reason explains the outcome. Reason is empty for RollReloaded and RollStarted, unless the instance was killed.
	Reason string
	// Took is the time from the start of the drain until the instance was up again. Took does not include the settle time.
	Took  time.Duration
	State State
	// Killed is true if the instance was killed because it did not stop.
	Killed bool
}

// RollApp replaces the instances in small steps, while the sockets stay open. In each step, some instances drain, stop,
// start, and must then stay up for the settle time. Instances that are down after a failure, or that have just recovered
// from one, are replaced first. So if the new version does not run, RollApp fails before it stops an instance that serves.
// RollApp returns the results in the order of the instances.
//
// RollApp stops early in three cases. First, if an instance does not come up again, RollApp returns an [*InstanceError] and
// does not replace the remaining instances. systemd continues to restart the failed instance. Second, if an instance was
// killed because it did not stop, RollApp returns a [*KilledError], unless Force is set. The instance is up again, but the
// next instance could also lose unsaved data by a SIGKILL. Third, if another command has queued a job that our job would
// replace, RollApp returns a [*RefusedError] that is [ErrConflict].
//
// RollApp does not start an instance that is stopped, masked, or skipped by its condition. If an instance is masked and
// still runs, RollApp returns an error before it changes anything. When the context ends, systemd completes the current
// step.
func (c *Conn) RollApp(ctx context.Context, name units.Name, instances []int, o RollOptions, progress func(Progress)) ([]Rolled, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	states, err := c.States(ctx, instanceUnits(name, instances))
	if err != nil {
		return nil, err
	}
	r := &roll{name: name, o: o, progress: progress}
	if err := r.begin(instances, states); err != nil || len(instances) == 0 {
		return r.out, err
	}
	steps := rollSteps(r.todo, slices.Max(instances), o.Batch, o.Surge)
	for i, s := range steps {
		if err := c.rollStep(ctx, r, s); err != nil {
			return r.out, errors.Join(r.failStep(s, c.withConflict(ctx, err)), c.endSurge(ctx, name, steps[i+1:]))
		}
		if r.killError != nil && !o.Force {
			return r.out, errors.Join(r.killError, c.endSurge(ctx, name, steps[i+1:]))
		}
	}
	return r.out, nil
}

// The type step describes one step of a rolling reload: an operation on some instances at the same time.
type step struct {
	Op        Op
	Instances []int
}

// rollSteps returns the steps of a rolling reload. Each step restarts at most batch instances, in their order; a batch below
// 1 counts as 1. If surge is larger than 0, the first step starts that many extra instances, and the last step stops them.
// The parameter above is the number before the first extra instance. If batch is not larger than surge, the number of
// running instances does not fall below the number at the start. Without instances, rollSteps returns no steps.
func rollSteps(instances []int, above, batch, surge int) []step {
	var steps []step
	for chunk := range slices.Chunk(instances, max(batch, 1)) {
		steps = append(steps, step{Restart, chunk})
	}
	var extra []int
	for i := range max(surge, 0) {
		extra = append(extra, above+1+i)
	}
	if steps == nil || extra == nil {
		return steps
	}
	return slices.Concat([]step{{Start, extra}}, steps, []step{{Stop, extra}})
}

// endSurge stops the extra instances of a reload that ends early. The parameter rest holds the steps that remain.
func (c *Conn) endSurge(ctx context.Context, name units.Name, rest []step) error {
	if len(rest) == 0 || rest[len(rest)-1].Op != Stop {
		return nil
	}
	return c.StopInstances(context.WithoutCancel(ctx), name, rest[len(rest)-1].Instances)
}

func (c *Conn) rollStep(ctx context.Context, r *roll, s step) error {
	r.since = time.Now()
	switch s.Op {
	case Stop:
		return c.StopInstances(ctx, r.name, s.Instances)
	case Start:
		r.since = time.Time{} // extra instances have no result
	}
	m := operation{
		op: s.Op, mode: Fail, jobs: instanceUnits(r.name, s.Instances), instances: s.Instances, settle: r.o.Settle, limit: r.o.Timeout,
		onKill: r.recordKill,
	}
	return c.run(ctx, r.name, m, r.observe)
}

// recordKill records that an instance was killed. The first kill becomes the error of the reload.
func (r *roll) recordKill(k Killed) {
	if one := r.find(k.Unit); one != nil {
		one.Killed, one.Reason = true, k.Reason()
	}
	if r.killError == nil {
		r.killError = &KilledError{k}
	}
}

// withConflict adds the type of the conflicting job to a [RefusedError], if the error is also an [ErrConflict].
func (c *Conn) withConflict(ctx context.Context, err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) && errors.Is(err, ErrConflict) {
		if states, err := c.States(ctx, []string{refused.Unit}); err == nil {
			refused.Job = states[0].Job
		}
	}
	return err
}

// The type roll holds the state of a rolling reload. The methods of roll do no I/O.
type roll struct {
	name     units.Name
	o        RollOptions
	progress func(Progress)
	out      []Rolled
	// The field todo holds the instances to replace, in this order. The field down holds the instances in todo that were
	// down at the start.
	todo, down []int
	// The field since is the time at which the step began.
	since time.Time
	// The field killError is the error of the first instance that was killed because it did not stop.
	killError error
}

// The method begin decides which instances are replaced, and in which order, and reports the instances that are skipped.
func (r *roll) begin(instances []int, states []State) error {
	for i, s := range states {
		r.out = append(r.out, Rolled{Instance: instances[i], Unit: r.name.Instance(instances[i]), State: s})
	}
	var first, running []int
	var skipped []Progress
	skip := func(one *Rolled, reason string) {
		one.Outcome, one.Reason = RollSkipped, reason
		skipped = append(skipped,
			Progress{Unit: one.Unit, Instance: one.Instance, Phase: SkippedByReload, Reason: reason, State: one.State})
	}
	for i := range r.out {
		one := &r.out[i]
		switch s := one.State; {
		case s.Load == Masked && (s.Up() || s.MainPID != 0):
			one.Reason = Explain(s) + " and still runs, but could not be started again"
			return &InstanceError{Unit: s.Unit, Instance: one.Instance, Reason: one.Reason, State: s}
		case s.Load == Masked:
			skip(one, Explain(s))
		case s.Load != Loaded:
			one.Reason = Explain(s)
			return &InstanceError{Unit: s.Unit, Instance: one.Instance, Reason: one.Reason, State: s}
		case s.Up() && !justRestarted(s):
			running = append(running, one.Instance)
		case s.Up():
			first = append(first, one.Instance)
		case s.Active != Inactive || s.JobID != 0:
			first, r.down = append(first, one.Instance), append(r.down, one.Instance)
		case s.Skipped():
			skip(one, Explain(s))
		default:
			skip(one, "it is stopped")
		}
	}
	for _, p := range skipped {
		r.progress(p)
	}
	r.todo = slices.Concat(first, running)
	return nil
}

// justRestarted reports whether systemd has recently restarted the instance automatically, so that the instance may soon
// fail again. A restart is recent if the shim still counts the current run as short.
func justRestarted(s State) bool {
	return s.Restarts > 0 && time.Since(s.ActiveSince) < contract.MinUptime
}

// The method observe records the progress of a step and passes it to the caller of RollApp.
func (r *roll) observe(p Progress) {
	if one := r.find(p.Unit); one != nil {
		one.State = p.State
		switch p.Phase {
		case Ready, Finished:
			one.Outcome, one.Took = RollReloaded, time.Since(r.since)
			if slices.Contains(r.down, p.Instance) {
				one.Outcome = RollStarted
			}
			one.explain(p.Reason)
		case SkippedByCondition:
			one.Outcome, one.Reason = RollSkipped, p.Reason
		case Broken:
			one.Outcome, one.Reason = RollFailed, p.Reason
		case Stopping, Starting:
			// This outcome remains only if the reload ends before the instance is up.
			one.Outcome = RollFailed
			one.explain("it was not up when the reload ended")
		}
	}
	r.progress(p)
}

// The method explain sets the reason, unless the instance was killed, because the reason then describes the kill.
func (r *Rolled) explain(reason string) {
	if !r.Killed {
		r.Reason = reason
	}
}

// The method find returns the result of the instance, or nil for an extra instance.
func (r *roll) find(unit string) *Rolled {
	i := slices.IndexFunc(r.out, func(one Rolled) bool { return one.Unit == unit })
	if i < 0 {
		return nil
	}
	return &r.out[i]
}

// failStep returns the error of the step that ended the reload, and sets the reason of the instance to which the
// error belongs.
func (r *roll) failStep(s step, err error) error {
	var refused *RefusedError
	var job *JobError
	unit := ""
	switch {
	case errors.As(err, &refused):
		unit = refused.Unit
	case errors.As(err, &job):
		unit = job.Unit
	}
	if one := r.find(unit); one != nil {
		one.Reason = err.Error()
	}
	if s.Op != Restart {
		return fmt.Errorf("extra instances for the reload: %w", err)
	}
	return err
}
