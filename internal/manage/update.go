package manage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

type update struct {
	*installation
	plan install.Plan
	// The field from is the number of listed instances before the update. The field closing has the names of the sockets
	// that the update closes.
	from    int
	closing []string
}

// The method update updates an installed app. It does not stop or restart unchanged units. After an error, it restores the
// app.
func (in *installation) update(ctx context.Context) error {
	u := &update{installation: in}
	began := u.Now()
	err := u.run(ctx)
	if err != nil {
		u.out.Action = Failed
	}
	return u.WithKilled(ctx, u.App, err, began)
}

func (u *update) run(ctx context.Context) error {
	running, err := u.prepare(ctx)
	if err != nil {
		return err
	}
	c := change{files: u.plan.Changes, from: u.from, to: u.Target.Sizing.Listed, running: running, start: u.o.Start}
	u.out.Stopped = !running && !u.o.Start
	steps, reason := c.steps()
	if len(steps) == 0 {
		u.out.Action = Unchanged
		return nil
	}
	for _, s := range steps {
		if s.kind == stepClose {
			u.closing = s.sockets
		}
	}
	if reason != "" {
		u.Note("%s: the port is closed for a moment, and connections are refused: %s", u.Name, reason)
	}
	u.plan.Was = install.WasStopped
	if running {
		u.plan.Was = install.WasRunning
	}
	tx, err := u.Store.Begin(u.plan)
	if err != nil {
		return err
	}
	return u.execute(ctx, steps, tx)
}

// The method execute runs the steps. After an error, it undoes the steps.
func (u *update) execute(ctx context.Context, steps []step, tx *install.Tx) error {
	began := u.Now()
	// An undo is necessary if the app may have changed. A failed stepWrite has changed nothing, because it removes the files
	// that it has written. A failed stepStartAll may have started units.
	changed := steps[0].kind != stepWrite
	var err error
	for _, s := range steps {
		if err = u.executeStep(ctx, s, tx); err != nil {
			break
		}
		changed = true
	}
	switch {
	case err == nil:
		u.out.Action = Updated
		for _, note := range accessNotes(u.App, u.plan.Changes) {
			u.Note("%s", note)
		}
		return tx.Commit()
	case !changed:
		return errors.Join(err, tx.Rollback())
	}
	if WasKilled(err) {
		u.Kills.setReported(err)
		err = u.explainKilled(ctx, err, u.App, began, "\nto continue anyway: --force")
	}
	err = notReached(u.Explain(context.WithoutCancel(ctx), err, u.App.LogNamespace(), began))
	u.Note("%s: putting everything back as it was", u.Name)
	r := undo{Session: u.Session, files: u.plan.Changes, tx: tx, was: u.plan.Was, since: began, settle: u.o.Settle}
	if back := r.run(context.WithoutCancel(ctx)); back != nil {
		return errors.Join(err, fmt.Errorf("putting %s back as it was: %w", u.Name, back))
	}
	return err
}

func (u *update) executeStep(ctx context.Context, s step, tx *install.Tx) error {
	switch s.kind {
	case stepWrite:
		return u.write(tx)
	case stepReload:
		return u.Conn.Reload(ctx)
	case stepOpen:
		return u.openSockets(ctx, s.sockets)
	case stepStartNew:
		isSkipped := func(i int) bool { return i > u.Target.Sizing.Want }
		p := u.Progress(u.Name, len(slices.DeleteFunc(slices.Clone(s.instances), isSkipped)))
		defer p.End()
		return u.Conn.StartInstances(ctx, u.Name, s.instances, u.o.Settle, 0, func(ev control.Progress) {
			u.record(ev)
			p.Observe(ev)
		})
	case stepReplace:
		return u.roll(ctx, s.instances)
	case stepStopUnlisted:
		return u.stopUnlisted(ctx, s.instances)
	case stepClose:
		return u.closeSockets(ctx, u.plan.Changes, s.sockets)
	case stepStopAll:
		if err := u.Conn.StopApp(ctx, u.Name); err != nil {
			return err
		}
		u.removeOldSockets(u.plan.Changes)
		return nil
	case stepAccess:
		return u.setSocketAccess(u.App)
	case stepJournal:
		return u.restartJournal(ctx)
	case stepEndJournal:
		return u.endJournal(ctx, true) // keep the log lines: only an uninstall removes them
	default: // stepStartAll
		if err := u.Store.ForgetRuns(u.Name); err != nil {
			return err
		}
		return u.startApp(ctx, u.Target.Sizing.Want, len(s.instances), control.Settling{Time: u.o.Settle}, u.record)
	}
}

// stopUnlisted stops the instances in list, which the new configuration no longer lists.
func (u *update) stopUnlisted(ctx context.Context, list []int) error {
	u.Note("%s: stopping %s", u.Name, text.Count(len(list), "instance"))
	if err := u.Conn.StopInstances(ctx, u.Name, list); err != nil {
		return err
	}
	for _, i := range list {
		u.out.Instances = append(u.out.Instances, InstanceResult{Instance: i, Unit: u.Name.Instance(i), Outcome: "stopped"})
	}
	return u.removeInstanceState(ctx, list)
}

// The method write writes the new files. If the update removes a socket unit, the method first copies this unit to /run.
// Without a unit file, PID 1 would close the socket at the next reload, but instances still use the socket, and an undo
// needs it, too.
func (u *update) write(tx *install.Tx) error {
	for _, c := range u.plan.Changes {
		unit := filepath.Base(c.Path)
		if !slices.Contains(u.closing, unit) {
			continue
		}
		if _, err := u.Store.WriteRuntime(units.File{Path: unit, Data: c.Old}); err != nil {
			return errors.Join(err, u.removeRuntimeCopies(u.plan.Changes))
		}
	}
	if err := tx.Write(); err != nil {
		return errors.Join(err, u.removeRuntimeCopies(u.plan.Changes))
	}
	return nil
}

// The method roll replaces the instances in list, and adds their results to the outcome.
func (u *update) roll(ctx context.Context, list []int) error {
	o := control.RollOptions{Settle: u.o.Settle, Force: u.o.Force}
	if u.from == u.Target.Sizing.Listed {
		o.Surge = Surge(u.App, u.from)
	}
	began := u.Now()
	rolled, err := u.rollSteps(ctx, list, o)
	results := instanceResults(rolled)
	u.noteCuts(u.Name, began, results)
	u.out.Instances = append(u.out.Instances, results...)
	if WasKilled(err) && countRemaining(rolled) == 0 {
		// All instances run with the new configuration. An undo would restart them, and might kill an instance again.
		// WithKilled adds the error of the killed instance.
		return nil
	}
	return err
}

// If an instance has started or has failed to start, the method record adds its result to the outcome.
func (u *update) record(p control.Progress) {
	r := InstanceResult{Unit: p.Unit, Instance: p.Instance}
	if r.observe(p, 0); r.Outcome != "" && r.Instance > 0 {
		r.PID = p.State.MainPID
		u.out.Instances = append(u.out.Instances, r)
	}
}

// restartJournal restarts the private journald of the app if it runs, because journald reads its limits only at its start.
// No line is lost, because systemd keeps the connections of the clients open during the restart.
func (s *Session) restartJournal(ctx context.Context) error {
	outcomes, err := s.Conn.Do(ctx, control.TryRestart, control.Replace, s.Name.JournalUnits()[0])
	if err != nil {
		return err
	}
	if o := outcomes[0]; o.Err != nil && !errors.Is(o.Err, control.ErrNotFound) {
		return fmt.Errorf("restarting the journal of %s: %w", s.Name, o.Err)
	}
	return nil
}

// endJournal stops the private journald of the app. If keep is not set, endJournal also removes the journal.
func (s *Session) endJournal(ctx context.Context, keep bool) error {
	// The outcome is ignored, because a stop fails for a unit that does not exist.
	if _, err := s.Conn.Do(ctx, control.Stop, control.Replace, s.Name.JournalUnits()...); err != nil {
		return err
	}
	if err := s.Conn.ResetFailed(ctx, s.Name.JournalUnits()...); err != nil {
		return err
	}
	if !keep {
		return journal.Remove(s.Name.LogNamespace())
	}
	for _, dir := range journal.Existing(s.Name.LogNamespace()) {
		s.Note("the journal is kept: journalctl --namespace=%s, sudo rm -r %s", s.Name.LogNamespace(), text.Shell(dir))
	}
	return journal.RemoveRuntime(s.Name.LogNamespace())
}
