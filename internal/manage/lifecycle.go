package manage

import (
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

// SkippedError is an instance that a condition keeps down, since the machine has fewer CPUs.
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

// Instances returns the numbers of the instances of the app, or the one instance if it is not 0.
func (s *Session) Instances(only int) ([]int, error) {
	if _, err := s.Current(); err != nil {
		return nil, err
	}
	listed, err := s.Listed()
	if err != nil {
		return nil, err
	}
	if only > listed {
		return nil, fault.WithHint(fmt.Errorf("%s has no instance %d", s.Name, only), "it has %s@1 to %[1]s@%d", s.Name, listed)
	}
	if only > 0 {
		return []int{only}, nil
	}
	return instances(0, listed), nil
}

// Act runs a command on the app, or on one instance of it, and returns what it did to the instances. stops is set for a command
// that stops them.
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
	var rolled []control.Rolled
	for i := range after {
		rolled = append(rolled, compare(list[i], before[i], after[i], started))
	}
	r := NewAppResult(s.Name, rolled, s.Now().Sub(started), err)
	for i := range r.Instances {
		isDown := after[i].Active == control.Inactive || after[i].Active == control.ActiveFailed
		if stops && before[i].Active != control.Inactive && isDown {
			r.Instances[i].Outcome, r.Instances[i].Reason = "stopped", ""
		}
	}
	s.complete(&r, started)
	return r, errors.Join(err, afterErr)
}

// Start starts the app, and waits until every instance is ready and has stayed up. Listeners that clients do not reach are
// opened again.
func (s *Session) Start(ctx context.Context, settle time.Duration) error {
	if err := s.CheckSecrets(s.app); err != nil {
		return err
	}
	want, err := s.Wanted(ctx)
	if err != nil {
		return err
	}
	replaced, err := s.heal(ctx)
	if err != nil {
		return err
	}
	if replaced {
		if _, err := s.roll(ctx, s.app, instances(0, s.listed), control.RollOptions{Batch: 1, Settle: settle}); err != nil {
			return err
		}
	}
	return s.startApp(ctx, want, s.listed, settle, nil)
}

// Stop stops the app. It stays enabled.
func (s *Session) Stop(ctx context.Context) error { return s.Conn.StopApp(ctx, s.Name) }

// Restart restarts all instances at once.
func (s *Session) Restart(ctx context.Context, settle time.Duration) error {
	if err := s.CheckSecrets(s.app); err != nil {
		return err
	}
	want, err := s.Wanted(ctx)
	if err != nil {
		return err
	}
	if _, err := s.heal(ctx); err != nil {
		return err
	}
	p := s.Progress(s.Name, want)
	defer p.End()
	return s.Conn.RestartInstances(ctx, s.Name, instances(0, s.listed), settle, p.Observe)
}

// StartInstance starts one instance. It returns a [*SkippedError] if a condition keeps the instance down.
func (s *Session) StartInstance(ctx context.Context, i int) error {
	return s.oneInstance(ctx, i, func() error {
		// It watches: the job may be canceled while the start continues.
		return s.Conn.StartInstances(ctx, s.Name, []int{i}, 0, 0, nil)
	})
}

// RestartInstance restarts one instance. It returns a [*SkippedError] if a condition keeps the instance down.
func (s *Session) RestartInstance(ctx context.Context, i int) error {
	return s.oneInstance(ctx, i, func() error {
		// It watches: how the old run ended is lost with the start of the new one.
		return s.Conn.RestartInstances(ctx, s.Name, []int{i}, 0, nil)
	})
}

func (s *Session) oneInstance(ctx context.Context, i int, run func() error) error {
	if err := s.CheckSecrets(s.app); err != nil {
		return err
	}
	err := run()
	if err == nil {
		err = s.notSkipped(ctx, i)
	}
	return errors.Join(err, s.healListening(ctx, s.app))
}

func (s *Session) notSkipped(ctx context.Context, i int) error {
	states, err := s.Conn.States(ctx, []string{s.Name.Instance(i)})
	if err == nil && states[0].Skipped() {
		err = &SkippedError{App: s.Name, Instance: i}
	}
	return err
}

// StopInstance stops one instance.
func (s *Session) StopInstance(ctx context.Context, i int) error {
	unit := s.Name.Instance(i)
	outcomes, err := s.Conn.Do(ctx, control.Stop, control.Replace, unit)
	switch {
	case err != nil:
		return err
	case outcomes[0].Err != nil:
		return &control.RefusedError{Unit: unit, Op: control.Stop, Err: outcomes[0].Err}
	case outcomes[0].Result == control.Done:
		return nil
	}
	states, err := s.Conn.States(ctx, []string{unit})
	if err != nil {
		return err
	}
	return &control.InstanceError{Unit: unit, Instance: i, Reason: control.Explain(states[0]), State: states[0]}
}

// ResetFailed forgets the failures of the app, or of one instance. complete is false if the caller may not remove the waits
// after short runs, which are files.
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

// Signal sends a signal to the main process of each instance that runs, or to every process. It returns how many instances got
// it, and how many there are.
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
