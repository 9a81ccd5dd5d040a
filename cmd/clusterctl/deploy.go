package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// deploy carries one app from its description to running instances: files first, then jobs, all or nothing.
type deploy struct {
	e      *env
	conn   *control.Conn
	app    units.App
	target units.Target
	set    units.Set
	config []byte
	// perCPU is how many instances "max" would be.
	perCPU int
	// keptLogs says that there was a journal of the app before, which an earlier uninstall was told to keep.
	keptLogs bool
}

// newDeploy looks at the machine and renders; nothing is changed.
func (e *env) newDeploy(ctx context.Context, a units.App) (_ *deploy, err error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	d := &deploy{e: e, conn: conn, app: a}
	var cpus units.CPUs
	if d.target, cpus, err = e.thisMachine(ctx, conn, a); err != nil {
		return nil, err
	}
	d.perCPU = units.Count{Max: true}.Resolve(cpus).Want
	if d.set, err = units.Render(a, d.target); err != nil {
		return nil, err
	}
	d.config = config.EncodeNames(a)
	return d, nil
}

// thisMachine is what the units of an app are rendered for here, and the CPUs that the app may use.
func (e *env) thisMachine(ctx context.Context, conn *control.Conn, a units.App) (t units.Target, cpus units.CPUs, err error) {
	if t, err = e.targetOf(a.Name); err != nil {
		return t, cpus, err
	}
	if t.Systemd, err = conn.Version(ctx); err != nil {
		return t, cpus, err
	}
	cpus, err = conn.CPUs(ctx, a.Name.Slice())
	t.Sizing = a.Instances.Resolve(cpus)
	return t, cpus, err
}

// targetOf is what the units of an app refer to here.
func (e *env) targetOf(n units.Name) (units.Target, error) {
	secrets, err := e.store.LoadedSecrets(n)
	return units.Target{Source: e.store.ConfigPath(n), Values: e.store.ValuesPath(n), Secrets: secrets, Shim: e.shim}, err
}

func (d *deploy) close() { _ = d.conn.Close() }

// install makes the app what it shall be: one that is not there is written, enabled and started, and after an error
// nothing of it is left; one that is there is updated, and after an error it is as it was.
func (d *deploy) install(ctx context.Context, o updateOptions) (out outcome, err error) {
	out = outcome{Name: d.app.Name, Action: actionFailed, Changed: []string{}, Instances: []instanceRoll{}}
	defer func() {
		if err != nil {
			out.Error = err.Error()
		}
	}()
	lock, err := d.e.lock(ctx, d.app.Name)
	if err != nil {
		return out, err
	}
	defer func() {
		_, loadErr := d.e.store.Load(d.app.Name)
		var gone *install.NotInstalledError
		if err != nil && errors.As(loadErr, &gone) {
			// Nothing is installed under this name, so its lock file need not stay either.
			_ = lock.Remove()
			return
		}
		_ = lock.Unlock()
	}()
	if err := d.e.repair(ctx, d.conn, d.app.Name); err != nil {
		return out, err
	}
	if err := d.e.trustedFor(d.app, o.consent); err != nil {
		return out, err
	}
	if err := d.e.checkSecrets(d.app); err != nil {
		return out, err
	}
	old, err := d.e.store.Load(d.app.Name)
	var gone *install.NotInstalledError
	switch {
	case errors.As(err, &gone):
		return out, d.create(ctx, o, &out)
	case err != nil:
		// It is there and cannot be read, after an edit by hand for one: not free, or its running instances would be replaced.
		return out, err
	}
	if !o.replace {
		if err := d.e.mayReplace(old, d.app, o.consent.file != ""); err != nil {
			return out, err
		}
	}
	if err := d.e.mayChange(ctx, old, d.app, o.consent); err != nil {
		return out, err
	}
	if out, err = d.update(ctx, o); err != nil || out.Stopped || len(out.Instances) > 0 {
		return out, err
	}
	return out, d.stands(ctx, o, &out)
}

// create installs an app that is not there.
func (d *deploy) create(ctx context.Context, o updateOptions, out *outcome) error {
	plan, err := d.check(ctx)
	if err != nil {
		return err
	}
	d.keptLogs = len(journal.Existing(d.app.Name.LogNamespace())) > 0
	tx, err := d.e.store.Begin(plan)
	if err != nil {
		return err
	}
	started := d.e.now()
	if err := tx.Write(); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := d.bringUp(ctx, o); err != nil {
		err = explainInstance(context.WithoutCancel(ctx), d.withCause(ctx, err), d.app.LogNamespace(), started)
		return errors.Join(err, d.takeBack(ctx, tx))
	}
	out.Action = actionCreated
	for _, c := range plan.Changes {
		out.Changed = append(out.Changed, c.Path)
	}
	for _, i := range numbers(d.target.Sizing.Want) {
		out.Instances = append(out.Instances, instanceRoll{Instance: i, Unit: d.app.Name.Instance(i), Outcome: "started"})
	}
	return tx.Commit()
}

// check finds out all that is in the way before anything is written.
func (d *deploy) check(ctx context.Context) (install.Plan, error) {
	paths, err := d.conn.UnitPaths(ctx)
	if err != nil {
		return install.Plan{}, err
	}
	plan, err := d.e.store.Plan(d.app.Name, d.set, d.config)
	if err == nil {
		err = d.e.store.Conflicts(paths, d.set)
	}
	if err == nil {
		err = d.e.resolver().CheckPorts(ctx, d.app)
	}
	return plan, err
}

// present gives the app as it is installed now; found is false where there is none, or none that can be read.
func (e *env) present(n units.Name) (a units.App, found bool) {
	a, err := e.store.Load(n)
	return a, err == nil
}

// bringUp is the part that systemd does.
func (d *deploy) bringUp(ctx context.Context, o updateOptions) error {
	// Enabling works on the files alone. Since systemd 253 or so, PID 1 counts as outdated after it (NeedDaemonReload=, and a
	// warning of systemctl at each command) until it reloads, so the one reload comes second.
	if err := d.conn.Enable(ctx, d.app.Name.Service()); err != nil {
		return err
	}
	if err := d.conn.Reload(ctx); err != nil {
		return err
	}
	p := d.e.newProgress(string(d.app.Name), d.target.Sizing.Want)
	defer p.end()
	return d.conn.StartNewApp(ctx, d.app.Name, numbers(d.target.Sizing.Listed), d.settling(o), p.observe)
}

// takeBack stops what runs and puts the files back as they were. It goes on after an interrupt of the command itself; the
// timeouts of the units bound it.
func (d *deploy) takeBack(ctx context.Context, tx *install.Tx) error {
	ctx = context.WithoutCancel(ctx)
	d.e.note("taking everything back")
	stopErr := d.e.stopAll(ctx, d.conn, d.app, d.target.Sizing.Listed)
	disableErr := d.conn.Disable(ctx, d.app.Name.Service())
	if err := errors.Join(stopErr, disableErr, tx.Rollback(), d.conn.Reload(ctx)); err != nil {
		return fmt.Errorf("taking %s back: %w", d.app.Name, err)
	}
	d.e.removeSockets(d.app)
	if d.app.Logs.Namespace {
		return d.e.endJournal(ctx, d.conn, d.app.Name, d.keptLogs)
	}
	return nil
}

// stopAll stops the app and its slice, and forgets failures and what the instances left in /run.
func (e *env) stopAll(ctx context.Context, conn *control.Conn, a units.App, listed int) error {
	err := conn.StopApp(ctx, a.Name)
	if _, sliceErr := conn.Do(ctx, control.Stop, control.Replace, a.Name.Slice()); err == nil {
		// A slice that was never started is not there to be stopped, which Do reports per unit and nobody minds.
		err = sliceErr
	}
	if stateErr := e.store.RemoveRuntimeState(a.Name); err == nil {
		err = stateErr
	}
	if resetErr := conn.ResetFailed(ctx, status.Units(a, listed)...); err == nil {
		err = resetErr
	}
	return err
}

// startApp starts the aggregate and waits until every instance is ready and has stayed alive.
func (e *env) startApp(ctx context.Context, conn *control.Conn, n units.Name, s units.Sizing, settle time.Duration) error {
	p := e.newProgress(string(n), s.Want)
	defer p.end()
	return conn.StartApp(ctx, n, numbers(s.Listed), settle, p.observe)
}

// numbers are the instances 1 to n.
func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

// logLines is how many of an instance's last lines an error shows, logTimeout how long the journal may take for them.
const (
	logLines   = 20
	logTimeout = 30 * time.Second
)

// explainInstance adds the last log lines, which may be in a journal of the app's own, to an instance that did not come up.
func explainInstance(ctx context.Context, err error, namespace string, since time.Time) error {
	// The context goes on after an interrupt, so the journal must not be able to hold the command for ever.
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	var instance *control.InstanceError
	var socket *control.SocketError
	var killed *control.KilledError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &killed):
		lines, _ := journal.Tail(ctx, killed.Killed.Unit, namespace, logLines, since)
		return &fault.NotReached{Err: err, Log: lines}
	case errors.As(err, &instance):
		lines, tailErr := journal.Tail(ctx, instance.Unit, namespace, logLines, since)
		if tailErr != nil {
			lines = []string{tailErr.Error()}
		}
		return &fault.NotReached{Err: err, Log: lines}
	case errors.As(err, &socket):
		lines, _ := journal.Tail(ctx, socket.Unit, "", logLines, since)
		return &fault.NotReached{Err: err, Log: lines}
	}
	return err
}

// lock waits for other commands on the same app, and says whose lock it waits for.
func (e *env) lock(ctx context.Context, n units.Name) (*install.Lock, error) {
	return e.store.Lock(ctx, n, func(o install.Owner) {
		if o.PID == 0 {
			e.note("waiting for another clusterctl command on %s", n)
			return
		}
		e.note("waiting for %q (pid %d), which works on %s since %s", o.Command, o.PID, n, text.Duration(e.now().Sub(o.Since)))
	})
}

// mustExist fails with the names that there are.
func (e *env) mustExist(n units.Name) error {
	if _, err := e.store.Load(n); err != nil {
		if _, found, pendingErr := e.store.Pending(n); pendingErr == nil && found {
			return nil
		}
		return err
	}
	return nil
}
