package manage

import (
	"cmp"
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

// DefaultSettle is how long instances must stay up after their start before a command reports success.
const DefaultSettle = time.Second

// InstallOptions are the options of [Session.Install].
type InstallOptions struct {
	Settle time.Duration
	// Watch is set if the user gave no --settle. The instances of a new app must then stay up for the time that
	// [installation.settling] returns, instead of Settle.
	Watch bool
	// Seen has the findings of the probe, or is nil if the program was not probed.
	Seen *ProbeFindings
	// Force is set if files that were edited by hand may be overwritten.
	Force bool
	// Start is set if a stopped app must be started.
	Start bool
}

type installation struct {
	*Session
	Files
	o   InstallOptions
	out Outcome
}

// Install updates the app if it is installed. Otherwise, Install writes, enables and starts the app. After an error the app
// is as it was before Install.
func (s *Session) Install(ctx context.Context, f Files, o InstallOptions) (Outcome, error) {
	in := &installation{Session: s, Files: f, o: o, out: Outcome{Name: s.Name}}
	err := in.run(ctx)
	s.Kills.mark(in.out.Instances)
	return in.out.withDefaults(err), err
}

func (in *installation) run(ctx context.Context) error {
	if err := in.CheckSecrets(in.App); err != nil {
		return err
	}
	if !in.Installed() {
		return in.create(ctx)
	}
	if _, err := in.Current(); err != nil {
		// The app is installed, but its description cannot be read, for example after an edit by hand. The method create is
		// only for new apps.
		return err
	}
	if err := in.update(ctx); err != nil || in.out.Stopped || len(in.out.Instances) > 0 {
		return err
	}
	return in.checkUnchanged(ctx)
}

func (in *installation) create(ctx context.Context) error {
	plan, err := in.check(ctx)
	if err != nil {
		return err
	}
	keepLogs := len(journal.Existing(in.Name.LogNamespace())) > 0 // an uninstall with --keep-logs has kept old logs
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
		return errors.Join(err, in.rollBack(ctx, tx, keepLogs))
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

// The method check returns the plan of a first install, or an error if the install is not possible.
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

func (in *installation) startNew(ctx context.Context) error {
	// systemd needs no reload before Enable, which only creates links. systemd must reload after Enable: without this
	// reload, systemd 253 and newer set NeedDaemonReload=, and each systemctl command prints a warning.
	if err := in.Conn.Enable(ctx, in.Name.Service()); err != nil {
		return err
	}
	if err := in.Conn.Reload(ctx); err != nil {
		return err
	}
	return in.startApp(ctx, in.Target.Sizing.Want, in.Target.Sizing.Listed, in.settlingRule(), nil)
}

// rollBack stops a new app and removes its files. An interrupt of the command does not stop rollBack, but the timeouts of
// the units limit its time.
func (in *installation) rollBack(ctx context.Context, tx *install.Tx, keepLogs bool) error {
	ctx = context.WithoutCancel(ctx)
	in.Note("rolling everything back")
	err := errors.Join(in.stopAll(ctx, in.App, in.Target.Sizing.Listed), in.Conn.Disable(ctx, in.Name.Service()))
	if !canRetry(err) {
		err = errors.Join(err, tx.Rollback(), in.Conn.Reload(ctx))
	}
	if err != nil {
		return fmt.Errorf("rolling %s back: %w", in.Name, err)
	}
	in.removeSockets(in.App.Listen)
	if in.App.Logs.Namespace {
		return in.endJournal(ctx, keepLogs)
	}
	return nil
}

// stopAll stops an app and its slice, resets their failures, and removes the state of the instances in /run. An error does
// not end stopAll early. stopAll returns the first error.
func (s *Session) stopAll(ctx context.Context, a units.App, listed int) error {
	err := s.Conn.StopApp(ctx, s.Name)
	// The outcome is ignored, because a stop fails for a slice that was never started.
	_, sliceErr := s.Conn.Do(ctx, control.Stop, control.Replace, s.Name.Slice())
	return cmp.Or(err, sliceErr, s.Store.RemoveRuntimeState(s.Name), s.Conn.ResetFailed(ctx, status.Units(a, listed)...))
}

// startApp starts the app, and waits until every instance is ready and has stayed up for the settle time. The parameter
// observe may be nil.
func (s *Session) startApp(
	ctx context.Context, want, listed int, settle control.Settling, observe func(control.Progress),
) error {
	p := s.Progress(s.Name, want)
	defer p.End()
	return s.Conn.StartApp(ctx, s.Name, instances(0, listed), settle, func(ev control.Progress) {
		if observe != nil {
			observe(ev)
		}
		p.Observe(ev)
	})
}
