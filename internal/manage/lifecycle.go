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

// SkippedError is the error of an instance that a condition keeps down because the machine has fewer CPUs.
type SkippedError struct {
	App      units.Name
	Instance int
}

// Error names the instance.
func (e *SkippedError) Error() string {
	return fmt.Sprintf("%s@%d is above the number of CPUs of this machine", e.App, e.Instance)
}

// Hint returns the command that shows the instances.
func (e *SkippedError) Hint() string { return fmt.Sprintf("clusterctl show %s", e.App) }

// Instances returns the numbers of all instances of the app, or only the given one if it is not 0.
func (s *Session) Instances(only int) ([]int, error) {
	if err := cmp.Or(s.appErr, s.listedErr); err != nil {
		return nil, err
	}
	if only > s.listed {
		return nil, fault.WithHint(fmt.Errorf("%s has no instance %d", s.Name, only), "it has %s@1 to %[1]s@%d", s.Name, s.listed)
	}
	if only > 0 {
		return []int{only}, nil
	}
	return instances(0, s.listed), nil
}

// Act runs a command on the app, or on one instance if only is not 0, and returns the result for each instance. stops must
// be set for a command that stops instances.
func (s *Session) Act(ctx context.Context, only int, stops bool, command func(context.Context) error) (AppResult, error) {
	started := s.Now()
	fail := func(err error) (AppResult, error) { return NewAppResult(s.Name, nil, s.Now().Sub(started), err), err }
	list, err := s.Instances(only)
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

// Start starts the app, and waits until every instance is ready and has stayed up. It opens listeners again that clients do
// not reach.
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

// Stop stops the app, which stays enabled.
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

// StartInstance starts one instance. It returns a [*SkippedError] if a condition keeps the instance down.
func (s *Session) StartInstance(ctx context.Context, i int) error {
	return s.runOne(ctx, i, func() error {
		// StartInstances follows the instance, because the job may be canceled while the start continues.
		return s.Conn.StartInstances(ctx, s.Name, []int{i}, 0, 0, nil)
	})
}

// RestartInstance restarts one instance, and returns the same error as StartInstance.
func (s *Session) RestartInstance(ctx context.Context, i int) error {
	return s.runOne(ctx, i, func() error {
		// RestartInstances follows the instance, because systemd forgets how the old run ended when the new one starts.
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

// ResetFailed resets the failures of the app, or of one instance if only is not 0. complete is false if the caller has no
// permission to remove the records of short runs, which delay the next restart.
func (s *Session) ResetFailed(ctx context.Context, only int) (complete bool, err error) {
	names := status.Units(s.app, s.listed)
	var list []int
	if only > 0 {
		names, list = []string{s.Name.Instance(only)}, []int{only}
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

// Signal sends a signal to the main process of each running instance, or to all of its processes. It returns how many
// instances got the signal, and how many exist.
func (s *Session) Signal(ctx context.Context, only int, sig syscall.Signal, everyProcess bool) (sent, total int, err error) {
	list, err := s.Instances(only)
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
