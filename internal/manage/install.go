package manage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// DefaultSettle is how long the instances of an app have to stay up before a command counts as done.
const DefaultSettle = time.Second

// InstallOptions say how an app is installed, or updated.
type InstallOptions struct {
	Settle time.Duration
	// Watch is set if Settle was not given: a new app then has to stay up until it looks well. Seen is what a probe has found.
	Watch bool
	Seen  *Seen
	// Force overwrites files that were edited by hand.
	Force bool
	// Start starts an app that is stopped.
	Start bool
}

// installation is an install or an update in progress.
type installation struct {
	*Session
	Files
	o   InstallOptions
	out Outcome
}

// Install writes, enables and starts an app that is not installed; after an error nothing of it is left. It updates an app that
// is installed; after an error the app is as it was.
func (s *Session) Install(ctx context.Context, f Files, o InstallOptions) (Outcome, error) {
	in := &installation{Session: s, Files: f, o: o, out: Outcome{Name: s.Name}}
	err := in.run(ctx)
	s.Kills.mark(in.out.Instances)
	return in.out.finished(err), err
}

func (in *installation) run(ctx context.Context) error {
	if err := in.CheckSecrets(in.App); err != nil {
		return err
	}
	if !in.Installed() {
		return in.create(ctx)
	}
	if _, err := in.Current(); err != nil {
		// It cannot be read, after an edit by hand for example. To create it would replace its running instances.
		return err
	}
	if err := in.update(ctx); err != nil || in.out.Stopped || len(in.out.Instances) > 0 {
		return err
	}
	return in.checkUnchanged(ctx)
}

// create installs an app that is not installed.
func (in *installation) create(ctx context.Context) error {
	plan, err := in.check(ctx)
	if err != nil {
		return err
	}
	keepLogs := len(journal.Existing(in.Name.LogNamespace())) > 0 // an earlier uninstall was told to keep them
	tx, err := in.Store.Begin(plan)
	if err != nil {
		return err
	}
	started := in.Now()
	if err := tx.Write(); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := in.startNew(ctx); err != nil {
		err = in.Explain(context.WithoutCancel(ctx), in.withCause(ctx, err), in.App.LogNamespace(), started)
		return errors.Join(err, in.takeBack(ctx, tx, keepLogs))
	}
	in.out.Action = Created
	for _, c := range plan.Changes {
		in.out.Changed = append(in.out.Changed, c.Path)
	}
	for _, i := range instances(0, in.Target.Sizing.Want) {
		in.out.Instances = append(in.out.Instances, InstanceResult{Instance: i, Unit: in.Name.Instance(i), Outcome: "started"})
	}
	return tx.Commit()
}

// check plans the first install, and returns an error for whatever is in the way.
func (in *installation) check(ctx context.Context) (install.Plan, error) {
	paths, err := in.Conn.UnitPaths(ctx)
	if err != nil {
		return install.Plan{}, err
	}
	plan, err := in.Plan(in.Files)
	if err == nil {
		err = in.Store.Conflicts(paths, in.Set)
	}
	if err == nil {
		err = in.CheckPorts(ctx, in.App)
	}
	return plan, err
}

// startNew enables and starts an app whose files are new.
func (in *installation) startNew(ctx context.Context) error {
	// Enabling works on the files alone. Since systemd 253 or so, PID 1 counts as outdated after it (NeedDaemonReload=, and a
	// warning of systemctl at each command) until it reloads, so the one reload comes second.
	if err := in.Conn.Enable(ctx, in.Name.Service()); err != nil {
		return err
	}
	if err := in.Conn.Reload(ctx); err != nil {
		return err
	}
	p := in.Progress(in.Name, in.Target.Sizing.Want)
	defer p.End()
	return in.Conn.StartNewApp(ctx, in.Name, instances(0, in.Target.Sizing.Listed), in.settling(), p.Observe)
}

// takeBack stops what runs, and puts the files back as they were. It continues after an interrupt of the command; the timeouts
// of the units bound it.
func (in *installation) takeBack(ctx context.Context, tx *install.Tx, keepLogs bool) error {
	ctx = context.WithoutCancel(ctx)
	in.Note("taking everything back")
	err := errors.Join(in.stopAll(ctx, in.App, in.Target.Sizing.Listed), in.Conn.Disable(ctx, in.Name.Service()))
	if !canRetry(err) {
		err = errors.Join(err, tx.Rollback(), in.Conn.Reload(ctx))
	}
	if err != nil {
		return fmt.Errorf("taking %s back: %w", in.Name, err)
	}
	in.removeSockets(in.App)
	if in.App.Logs.Namespace {
		return in.endJournal(ctx, keepLogs)
	}
	return nil
}

// stopAll stops an app and its slice, and removes their failures and what the instances left in /run.
func (s *Session) stopAll(ctx context.Context, a units.App, listed int) error {
	err := s.Conn.StopApp(ctx, s.Name)
	if _, sliceErr := s.Conn.Do(ctx, control.Stop, control.Replace, s.Name.Slice()); err == nil {
		// A slice that was never started cannot be stopped, which Do reports in the outcome of the unit.
		err = sliceErr
	}
	if stateErr := s.Store.RemoveRuntimeState(s.Name); err == nil {
		err = stateErr
	}
	if resetErr := s.Conn.ResetFailed(ctx, status.Units(a, listed)...); err == nil {
		err = resetErr
	}
	return err
}

// startApp starts the app, and waits until every instance is ready and has stayed up.
func (s *Session) startApp(ctx context.Context, want, listed int, settle time.Duration, observe func(control.Progress)) error {
	p := s.Progress(s.Name, want)
	defer p.End()
	return s.Conn.StartNewApp(ctx, s.Name, instances(0, listed), control.Settling{Time: settle}, func(ev control.Progress) {
		if observe != nil {
			observe(ev)
		}
		p.Observe(ev)
	})
}
