package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// outcome is what became of one app, as "apply --json" prints it (schema 1).
type outcome struct {
	Name units.Name `json:"name"`
	// Action is created, updated, unchanged or failed.
	Action string `json:"action"`
	// Changed are the files that were written, or removed.
	Changed []string `json:"changed"`
	// Instances are those that something was done to, in the words of "reload --json", or stopped.
	Instances []instanceRoll `json:"instances"`
	// Stopped says that the app is stopped, and was so.
	Stopped bool `json:"stopped,omitempty"`
	// standing is nil unless the instances were left alone.
	*standing
	Error string `json:"error,omitempty"`
}

// The actions of an outcome.
const (
	actionCreated   = "created"
	actionUpdated   = "updated"
	actionUnchanged = "unchanged"
	actionFailed    = "failed"
)

// updateOptions say how an app that is there becomes what it shall be.
type updateOptions struct {
	settle time.Duration
	// watch: --settle was not given, so a new app has to stay alive until it looks well. seen is what a probe has found.
	watch bool
	seen  *contract.Report
	// force overwrites what was edited by hand.
	force bool
	// replace allows to replace the app of another project.
	replace bool
	// start is for an app that is stopped.
	start bool
	// consent is for a change that gives the app more rights.
	consent consent
}

// update is an update under way.
type update struct {
	*deploy
	o    updateOptions
	plan install.Plan
	// from is how many instances were listed before, closing are the sockets that go in the end.
	from    int
	closing []string
	out     *outcome
}

// update makes an app that is there what it shall be, and touches nothing else. After an error it is as it was, on disk
// and in systemd. The lock is held.
func (d *deploy) update(ctx context.Context, o updateOptions) (outcome, error) {
	out := outcome{Name: d.app.Name, Action: actionFailed, Changed: []string{}, Instances: []instanceRoll{}}
	u := &update{deploy: d, o: o, out: &out}
	began := u.e.now()
	err := u.run(ctx)
	if err != nil {
		out.Action = actionFailed
	}
	if err = u.e.withKilled(ctx, d.app, err, began); err != nil {
		out.Error = err.Error()
	}
	return out, err
}

func (u *update) run(ctx context.Context) error {
	running, err := u.look(ctx)
	if err != nil {
		return err
	}
	c := change{files: u.plan.Changes, from: u.from, to: u.target.Sizing.Listed, running: running, start: u.o.start}
	u.out.Stopped = !running && !u.o.start
	steps, cold := c.steps()
	if len(steps) == 0 {
		u.out.Action = actionUnchanged
		return nil
	}
	for _, s := range steps {
		if s.kind == stepClose {
			u.closing = s.sockets
		}
	}
	if cold != "" {
		u.e.note("%s: the port is closed for a moment, and requests are refused meanwhile: %s", u.app.Name, cold)
	}
	if running {
		u.plan.Was = install.WasRunning
	} else {
		u.plan.Was = install.WasStopped
	}
	began := u.e.now()
	tx, err := u.e.store.Begin(u.plan)
	if err != nil {
		return err
	}
	written := false
	for _, s := range steps {
		if err = u.step(ctx, s, tx); err != nil {
			break
		}
		written = true
	}
	switch {
	case err == nil:
		u.out.Action = actionUpdated
		u.e.noteLostAccess(u.app, u.plan.Changes)
		return tx.Commit()
	case !written:
		return errors.Join(err, tx.Rollback())
	}
	if wasKilled(err) {
		u.e.killed.report(err)
		err = explainKilled(ctx, err, u.app, began, "\n--force goes on after it")
	}
	err = notReached(explainInstance(context.WithoutCancel(ctx), err, u.app.LogNamespace(), began))
	u.e.note("%s: putting everything back as it was", u.app.Name)
	r := undo{
		name: u.app.Name, files: u.plan.Changes, was: u.plan.Was, since: began, settle: u.o.settle, restore: tx.Restore, rollback: tx.Rollback,
	}
	if back := u.e.undo(context.WithoutCancel(ctx), u.conn, r); back != nil {
		return errors.Join(err, fmt.Errorf("putting %s back as it was: %w", u.app.Name, back))
	}
	return err
}

// step carries out one step.
func (u *update) step(ctx context.Context, s step, tx *install.Tx) error {
	switch s.kind {
	case stepWrite:
		return u.write(tx)
	case stepReload:
		return u.conn.Reload(ctx)
	case stepOpen:
		return u.e.openSockets(ctx, u.conn, u.app.Name, s.sockets)
	case stepGrow:
		p := u.e.newProgress(string(u.app.Name), wantedIn(s.instances, u.target.Sizing.Want))
		defer p.end()
		return u.conn.StartInstances(ctx, u.app.Name, s.instances, u.o.settle, 0, u.record(p.observe))
	case stepRoll:
		return u.roll(ctx, s.instances)
	case stepShrink:
		u.e.note("%s: stopping %d instances", u.app.Name, len(s.instances))
		if err := u.conn.StopInstances(ctx, u.app.Name, s.instances); err != nil {
			return err
		}
		for _, i := range s.instances {
			u.out.Instances = append(u.out.Instances, instanceRoll{Instance: i, Unit: u.app.Name.Instance(i), Outcome: "stopped"})
		}
		return u.e.forgetInstances(ctx, u.conn, u.app.Name, s.instances)
	case stepClose:
		return u.e.closeSockets(ctx, u.conn, u.plan, s.sockets)
	case stepStopAll:
		if err := u.conn.StopApp(ctx, u.app.Name); err != nil {
			return err
		}
		u.e.removeUnixSockets(u.plan.Changes)
		return nil
	case stepAccess:
		return u.e.openSocketAccess(u.app)
	case stepJournal:
		return u.e.rereadJournal(ctx, u.conn, u.app.Name)
	case stepEndJournal:
		// What was written there stays to be read; only an uninstall removes it.
		return u.e.endJournal(ctx, u.conn, u.app.Name, true)
	}
	if err := u.e.store.ForgetRuns(u.app.Name); err != nil {
		return err
	}
	p := u.e.newProgress(string(u.app.Name), u.target.Sizing.Want)
	defer p.end()
	return u.conn.StartApp(ctx, u.app.Name, s.instances, u.o.settle, u.record(p.observe))
}

// wantedIn is how many of the instances the machine runs; a condition skips those above.
func wantedIn(instances []int, want int) int {
	n := 0
	for _, i := range instances {
		if i <= want {
			n++
		}
	}
	return n
}

// write puts the files in place. A socket unit that goes away lives on in /run until the last instance that uses it has
// been replaced: PID 1 drops the descriptor of a socket that it finds no file of when it reloads, and then nobody could go
// back to it.
func (u *update) write(tx *install.Tx) error {
	for _, c := range u.plan.Changes {
		unit := filepath.Base(c.Path)
		if !slices.Contains(u.closing, unit) {
			continue
		}
		if _, err := u.e.store.WriteRuntime(units.File{Path: unit, Data: c.Old}); err != nil {
			return errors.Join(err, u.e.dropRuntime(u.plan))
		}
	}
	if err := tx.Write(); err != nil {
		return errors.Join(err, u.e.dropRuntime(u.plan))
	}
	return nil
}

// roll replaces the instances, with their waits after short runs forgotten: those were of another configuration.
func (u *update) roll(ctx context.Context, instances []int) error {
	o := control.RollOptions{Settle: u.o.settle, Force: u.o.force}
	if u.from == u.target.Sizing.Listed {
		o.Surge = surgeOf(u.app, u.from)
	}
	began := u.e.now()
	rolled, err := u.e.rollSteps(ctx, u.conn, u.app.Name, instances, o)
	list := rollReportOf(u.app.Name, rolled, 0, err).Instances
	u.e.noteCuts(u.app.Name, began, list)
	u.out.Instances = append(u.out.Instances, list...)
	if wholeButKilled(rolled, err) {
		return nil // all is done, and to undo it could kill once more; the command says what was killed
	}
	return err
}

// record keeps what was started, on its way to the progress.
func (u *update) record(next func(control.Progress)) func(control.Progress) {
	return func(p control.Progress) {
		words := map[control.Phase]string{
			control.Ready: "started", control.Finished: "started", control.SkippedByCondition: "skipped", control.Broken: "failed",
		}
		if word := words[p.Phase]; word != "" && p.Instance > 0 {
			u.out.Instances = append(u.out.Instances, instanceRoll{Unit: p.Unit, Instance: p.Instance, Outcome: word, Reason: p.Reason, PID: p.State.MainPID})
		}
		next(p)
	}
}
