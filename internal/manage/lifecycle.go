package manage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// SkippedError is the error for an instance that systemd does not start, because ConditionCPUs= requires more CPUs than the
// machine has.
type SkippedError struct {
	App      units.Name
	Instance int
}

func (e *SkippedError) Error() string {
	return fmt.Sprintf("%s@%d is above the number of CPUs of this machine", e.App, e.Instance)
}

// Hint returns the command that shows which instances run.
func (e *SkippedError) Hint() string { return fmt.Sprintf("clusterctl show %s", e.App) }

// Instances returns the numbers of all instances of the app. If instance is not 0, Instances returns only this number.
func (s *Session) Instances(instance int) ([]int, error) {
	if err := cmp.Or(s.appErr, s.listedErr); err != nil {
		return nil, err
	}
	if instance > s.listed {
		return nil, fault.WithHint(fmt.Errorf("%s has no instance %d", s.Name, instance), "it has %s@1 to %[1]s@%d", s.Name, s.listed)
	}
	if instance > 0 {
		return []int{instance}, nil
	}
	return instances(0, s.listed), nil
}

// RunCommand calls command and returns the result for each instance of the app, or only for one instance if instance is not
// 0. The parameter stops must be set if the command stops instances.
func (s *Session) RunCommand(
	ctx context.Context, instance int, stops bool, command func(context.Context) error,
) (AppResult, error) {
	started := s.Now()
	fail := func(err error) (AppResult, error) { return NewAppResult(s.Name, nil, s.Now().Sub(started), err), err }
	list, err := s.Instances(instance)
	if err != nil {
		return fail(err)
	}
	names := unitNames(s.Name, list)
	before, err := s.Conn.States(ctx, names)
	if err != nil {
		return fail(err)
	}
	err = s.Explain(context.WithoutCancel(ctx), command(ctx), s.app.LogNamespace(), started)
	err = s.WithKilled(ctx, s.app, err, started)
	after, afterErr := s.Conn.States(context.WithoutCancel(ctx), names)
	r := NewAppResult(s.Name, compareStates(before, after, started), s.Now().Sub(started), err)
	for i := range r.Instances {
		isDown := after[i].Active == control.Inactive || after[i].Active == control.ActiveFailed
		if stops && before[i].Active != control.Inactive && isDown {
			r.Instances[i].Outcome, r.Instances[i].Reason = "stopped", ""
		}
	}
	s.complete(&r, started)
	return r, errors.Join(err, afterErr)
}

// Start starts the app, and waits until every instance is ready and has stayed up for the settle time. If clients cannot
// reach a listener, Start opens the listener again.
func (s *Session) Start(ctx context.Context, settle time.Duration) error {
	want, replaced, err := s.prepareStart(ctx)
	if err != nil {
		return err
	}
	if replaced {
		if _, err := s.roll(ctx, s.app, instances(0, s.listed), control.RollOptions{Batch: 1, Settle: settle}); err != nil {
			return err
		}
	}
	return s.startApp(ctx, want, s.listed, control.Settling{Time: settle}, nil)
}

func (s *Session) prepareStart(ctx context.Context) (want int, replaced bool, err error) {
	if err := s.CheckSecrets(s.app); err != nil {
		return 0, false, err
	}
	if want, err = s.Wanted(ctx); err != nil {
		return 0, false, err
	}
	replaced, err = s.reopenListeners(ctx)
	return want, replaced, err
}

// Stop stops the app. The app still starts at boot.
func (s *Session) Stop(ctx context.Context) error { return s.Conn.StopApp(ctx, s.Name) }

// Restart restarts all instances at once.
func (s *Session) Restart(ctx context.Context, settle time.Duration) error {
	want, _, err := s.prepareStart(ctx)
	if err != nil {
		return err
	}
	p := s.Progress(s.Name, want)
	defer p.End()
	return s.Conn.RestartInstances(ctx, s.Name, instances(0, s.listed), settle, p.Observe)
}

// StartInstance starts one instance. StartInstance returns a [*SkippedError] if a condition of the unit is not met.
func (s *Session) StartInstance(ctx context.Context, i int) error {
	return s.runOne(ctx, i, func() error {
		// StartInstances watches the state of the instance. The result of the job is not enough, because another command can
		// cancel the job during the start of the instance.
		return s.Conn.StartInstances(ctx, s.Name, []int{i}, 0, 0, nil)
	})
}

// RestartInstance restarts one instance. RestartInstance returns a [*SkippedError] if a condition of the unit is not met.
func (s *Session) RestartInstance(ctx context.Context, i int) error {
	return s.runOne(ctx, i, func() error {
		// RestartInstances watches the state of the instance. The result of the job is not enough, because systemd forgets
		// how the old process ended as soon as the new process starts.
		return s.Conn.RestartInstances(ctx, s.Name, []int{i}, 0, nil)
	})
}

func (s *Session) runOne(ctx context.Context, i int, run func() error) error {
	if err := s.CheckSecrets(s.app); err != nil {
		return err
	}
	err := run()
	if err == nil {
		var states []control.State
		states, err = s.Conn.States(ctx, []string{s.Name.Instance(i)})
		if err == nil && states[0].Skipped() {
			err = &SkippedError{App: s.Name, Instance: i}
		}
	}
	return errors.Join(err, s.ensureListening(ctx, s.app))
}

// StopInstance stops one instance, and returns a [*control.InstanceError] if the stop fails.
func (s *Session) StopInstance(ctx context.Context, i int) error {
	unit := s.Name.Instance(i)
	outcomes, err := s.Conn.Do(ctx, control.Stop, control.Replace, unit)
	if err == nil {
		err = jobError(outcomes[0], control.Stop)
	}
	if !hasType[*control.JobError](err) {
		return err
	}
	states, err := s.Conn.States(ctx, []string{unit})
	if err != nil {
		return err
	}
	return &control.InstanceError{Unit: unit, Instance: i, Reason: control.Explain(states[0]), State: states[0]}
}

// ResetFailed resets the failed units of the app, or only one instance if instance is not 0. ResetFailed also removes the
// records of short runs, which delay the next restart. The result complete is false if the caller may not remove these
// records.
func (s *Session) ResetFailed(ctx context.Context, instance int) (complete bool, err error) {
	names := status.Units(s.app, s.listed)
	var list []int
	if instance > 0 {
		names, list = []string{s.Name.Instance(instance)}, []int{instance}
	}
	if err := s.Conn.ResetFailed(ctx, names...); err != nil {
		return false, err
	}
	err = s.Store.ForgetRuns(s.Name, list...)
	if !s.Root && errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	return err == nil, err
}

// Signal sends a signal to the main process of each running instance, or to all processes of the instance if everyProcess is
// set. The result sent is the number of instances that got the signal, and the result total is the number of instances. If
// instance is not 0, Signal acts on one instance only.
func (s *Session) Signal(ctx context.Context, instance int, sig syscall.Signal, everyProcess bool) (sent, total int, err error) {
	list, err := s.Instances(instance)
	if err != nil {
		return 0, 0, err
	}
	states, err := s.Conn.States(ctx, unitNames(s.Name, list))
	if err != nil {
		return 0, 0, err
	}
	send := s.Conn.KillMain
	if everyProcess {
		send = s.Conn.Kill
	}
	for _, st := range states {
		if st.MainPID == 0 {
			continue
		}
		if err := send(ctx, st.Unit, sig); err != nil {
			return sent, len(list), err
		}
		sent++
	}
	return sent, len(list), nil
}
