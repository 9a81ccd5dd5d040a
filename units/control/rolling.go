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

// RollOptions say how a rolling reload goes. The zero value rolls one instance after the other, without a time to settle.
type RollOptions struct {
	// Batch is how many instances are replaced at once, at least one.
	Batch int
	// Surge is how many extra instances, numbered on from the highest, are started first and stopped last. That no condition
	// keeps them down is the caller's business.
	Surge int
	// Settle is how long a new instance has to stay up before the next one follows.
	Settle time.Duration
	// Force goes on after an instance that had to be killed at its stop.
	Force bool
	// Timeout bounds each instance from the start of its drain until it is up; 0 leaves that to its unit.
	Timeout time.Duration
}

// RollOutcome is what a rolling reload did to one instance.
type RollOutcome int

const (
	// RollUntouched: the roll ended before it; it runs as it did.
	RollUntouched RollOutcome = iota
	// RollReloaded: it was replaced, and is up.
	RollReloaded
	// RollStarted: it was down for a fault, and is up.
	RollStarted
	// RollFailed: it did not come back.
	RollFailed
	// RollSkipped: it is down because somebody, or a condition, wants it so.
	RollSkipped
)

func (o RollOutcome) String() string {
	return [...]string{"untouched", "reloaded", "started", "failed", "skipped"}[o]
}

// Rolled is one instance of a rolling reload.
type Rolled struct {
	Instance int
	Unit     string
	Outcome  RollOutcome
	// Reason says why, where the outcome is none of the two good ones.
	Reason string
	// Took is the time from the begin of its drain until it was up, without the time to settle.
	Took  time.Duration
	State State
	// Killed: it did not stop, and had to be killed.
	Killed bool
}

// RollApp replaces the instances in small steps, with the sockets open: drain, stop, start, up, alive for the time to
// settle, next. Those that are down for a fault, or have only just come back from one, come first: if what is new does not
// run, nobody who serves is lost by it. It returns what became of each, in the order of the instances.
//
// The first instance that does not come back ends it with an [*InstanceError]; the others are as they were, and
// systemd's own restarts of the one go on. The first that had to be killed at its stop ends it with a [*KilledError], unless
// Force is set: the program is up again, and the next one may lose by a SIGKILL too what it has not saved. A job of somebody
// else that ours would replace ends it with a [*RefusedError] that is [ErrConflict]. What is stopped, masked, or skipped by
// a condition stays so; an instance that is masked and still runs is an error before anything is done. When the context
// ends, the step under way goes on without us.
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
	steps := Roll(r.todo, slices.Max(instances), o.Batch, o.Surge)
	for i, s := range steps {
		if err := c.rollStep(ctx, r, s); err != nil {
			return r.out, errors.Join(r.failed(s, c.blame(ctx, err)), c.endSurge(ctx, name, steps[i+1:]))
		}
		if r.killed != nil && !o.Force {
			return r.out, errors.Join(r.killed, c.endSurge(ctx, name, steps[i+1:]))
		}
	}
	return r.out, nil
}

// endSurge stops the extra instances of a roll that ends before its last step.
func (c *Conn) endSurge(ctx context.Context, name units.Name, rest []Step) error {
	if len(rest) == 0 || rest[len(rest)-1].Op != Stop {
		return nil
	}
	return c.StopInstances(context.WithoutCancel(ctx), name, rest[len(rest)-1].Instances)
}

// rollStep carries out one step of the plan.
func (c *Conn) rollStep(ctx context.Context, r *roll, s Step) error {
	r.since = time.Now()
	switch s.Op {
	case Stop:
		return c.StopInstances(ctx, r.name, s.Instances)
	case Start:
		r.since = time.Time{} // not of the list
	}
	m := move{
		op: s.Op, mode: Fail, jobs: instanceUnits(r.name, s.Instances), instances: s.Instances, settle: r.o.Settle, limit: r.o.Timeout,
		onKill: r.noteKilled,
	}
	return c.drive(ctx, r.name, m, r.observe)
}

// noteKilled keeps the first instance that had to be killed.
func (r *roll) noteKilled(k Killed) {
	for i := range r.out {
		if one := &r.out[i]; one.Unit == k.Unit {
			one.Killed, one.Reason = true, k.Reason()
		}
	}
	if r.killed == nil {
		r.killed = &KilledError{k}
	}
}

// blame names the job that is in the way of ours.
func (c *Conn) blame(ctx context.Context, err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) && errors.Is(err, ErrConflict) {
		if states, err := c.States(ctx, []string{refused.Unit}); err == nil {
			refused.Job = states[0].Job
		}
	}
	return err
}

// roll is a rolling reload under way. It does no I/O.
type roll struct {
	name     units.Name
	o        RollOptions
	progress func(Progress)
	out      []Rolled
	// todo are the instances that are to be replaced, in that order; down are those of them that were down.
	todo, down []int
	// since is the begin of the step.
	since time.Time
	// killed is the first instance that had to be killed at its stop.
	killed error
}

// begin sorts the instances by what is to be done with them.
func (r *roll) begin(instances []int, states []State) error {
	var first, running []int
	for i, s := range states {
		one := Rolled{Instance: instances[i], Unit: r.name.Instance(instances[i]), State: s}
		switch {
		case s.Load != Loaded && (s.Up() || s.MainPID != 0 || s.Load != Masked):
			one.Reason = Explain(s)
			if s.Load == Masked {
				one.Reason += ", and still runs; it could not be started again"
			}
			r.out = append(r.out, one)
			return r.abort(instances[i+1:], &InstanceError{Unit: s.Unit, Instance: one.Instance, Reason: one.Reason, State: s})
		case s.Load == Masked:
			one.Outcome, one.Reason = RollSkipped, Explain(s)
		case s.Up() && !shaky(s):
			running = append(running, one.Instance)
		case s.Up():
			first = append(first, one.Instance)
		case s.Active != Inactive || s.JobID != 0:
			first, r.down = append(first, one.Instance), append(r.down, one.Instance)
		case s.Skipped():
			one.Outcome, one.Reason = RollSkipped, Explain(s)
		default:
			one.Outcome, one.Reason = RollSkipped, "it is stopped"
		}
		r.out = append(r.out, one)
	}
	for _, one := range r.out {
		if one.Outcome == RollSkipped {
			r.progress(Progress{Unit: one.Unit, Instance: one.Instance, Phase: LeftAlone, Reason: one.Reason, State: one.State})
		}
	}
	r.todo = slices.Concat(first, running)
	return nil
}

// shaky returns whether systemd has only just started the instance again by itself, so that the instance may be on its way down
// again: the run is shorter than one that the shim counts as good.
func shaky(s State) bool { return s.Restarts > 0 && time.Since(s.ActiveSince) < contract.MinUptime }

// abort fills up the result.
func (r *roll) abort(rest []int, err error) error {
	for _, i := range rest {
		r.out = append(r.out, Rolled{Instance: i, Unit: r.name.Instance(i)})
	}
	for i := range r.out {
		if r.out[i].Outcome == RollSkipped {
			continue
		}
		r.out[i].Outcome = RollUntouched
	}
	return err
}

// observe takes over what the tracker of a step says, and passes it on.
func (r *roll) observe(p Progress) {
	if one := r.find(p.Instance); one != nil {
		one.State = p.State
		switch p.Phase {
		case Ready, Finished:
			one.Outcome, one.Took = r.good(p.Instance), time.Since(r.since)
			one.explain(p.Reason)
		case SkippedByCondition:
			one.Outcome, one.Reason = RollSkipped, p.Reason
		case Broken:
			one.Outcome, one.Reason = RollFailed, p.Reason
		case Stopping, Starting:
			// Until it is known how it ends.
			one.Outcome = RollFailed
			one.explain("it was not up when the reload ended")
		}
	}
	r.progress(p)
}

// explain sets the reason, unless the instance had to be killed: that stays the reason.
func (r *Rolled) explain(reason string) {
	if !r.Killed {
		r.Reason = reason
	}
}

func (r *roll) good(instance int) RollOutcome {
	if slices.Contains(r.down, instance) {
		return RollStarted
	}
	return RollReloaded
}

func (r *roll) find(instance int) *Rolled {
	i := slices.IndexFunc(r.out, func(one Rolled) bool { return one.Instance == instance })
	if i < 0 {
		return nil
	}
	return &r.out[i]
}

// failed gives the instances of the step that ended the roll their reason, and says which step it was.
func (r *roll) failed(s Step, err error) error {
	var refused *RefusedError
	var job *JobError
	unit, reason := "", err.Error()
	switch {
	case errors.As(err, &refused):
		unit = refused.Unit
	case errors.As(err, &job):
		unit = job.Unit
	}
	for _, i := range s.Instances {
		if one := r.find(i); one != nil && one.Unit == unit {
			one.Reason = reason
		}
	}
	if s.Op != Restart {
		return fmt.Errorf("extra instances for the reload: %w", err)
	}
	return err
}
