package main

import (
	"context"
	"errors"
	"strings"

	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// repair deals with what a command that was killed left behind. An uninstall is finished. Any other command's files are
// put back as they were before it; for an install that means that nothing of the app remains.
func (e *env) repair(ctx context.Context, conn *control.Conn, n units.Name) error {
	pending, found, err := e.store.Pending(n)
	if err != nil {
		return err
	}
	if !found {
		return e.stopExtra(ctx, conn, n)
	}
	switch {
	case pending.Uninstall:
		return e.finishUninstall(ctx, conn, n, pending)
	case pending.Scale:
		return errors.Join(e.finishScale(ctx, conn, n, pending), e.stopExtra(ctx, conn, n))
	}
	e.note("%s: %q (pid %d) was killed half-way; putting everything back as it was", n, pending.Command, pending.PID)
	fresh := true
	for _, c := range pending.Changes {
		fresh = fresh && c.Old == nil
	}
	if !fresh && !pending.Untouched {
		err := e.undo(ctx, conn, undo{
			name: n, files: pending.Changes, was: pending.Was, since: pending.Since, settle: defaultSettle, restore: pending.Restore, rollback: pending.Rollback,
		})
		return errors.Join(err, e.stopExtra(ctx, conn, n))
	}
	if err := e.dropRuntime(install.Plan{App: n, Changes: pending.Changes}); err != nil {
		return err
	}
	if fresh {
		if err := e.stopPending(ctx, conn, n, pending); err != nil {
			return err
		}
	}
	if err := pending.Rollback(); err != nil {
		return err
	}
	return conn.Reload(ctx)
}

// stopPending stops an app of which only an unfinished install is known.
func (e *env) stopPending(ctx context.Context, conn *control.Conn, n units.Name, p *install.Pending) error {
	for _, c := range p.Changes {
		if c.Path != e.store.ConfigPath(n) {
			continue
		}
		apps, err := config.Decode(c.Path, c.New)
		if err != nil || len(apps) != 1 {
			continue
		}
		if err := e.stopAll(ctx, conn, apps[0], units.MaxInstances); err != nil {
			return err
		}
		if err := conn.Disable(ctx, n.Service()); err != nil {
			return err
		}
		e.removeSockets(apps[0])
	}
	return nil
}

// uninstall is the reverse of install. It returns the instances that it has stopped.
func (e *env) uninstall(ctx context.Context, n units.Name, keepLogs bool) (stopped []control.Rolled, err error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	lock, err := e.lock(ctx, n)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	if err := e.repair(ctx, conn, n); err != nil {
		return nil, err
	}
	a, err := e.store.Load(n)
	var gone *install.NotInstalledError
	if errors.As(err, &gone) {
		// Repairing an unfinished install has removed it.
		return nil, lock.Remove()
	}
	if err != nil {
		return nil, err
	}
	listed, err := e.listed(n)
	if err != nil {
		// The list has been damaged or removed by hand, and the hint of that error is to uninstall.
		listed = units.MaxInstances
	}
	plan, err := e.store.Plan(n, nil, nil)
	if err != nil {
		return nil, err
	}
	plan.KeepLogs = keepLogs
	// The intent comes before the stop: after a kill the next command has to know.
	tx, err := e.store.Begin(plan)
	if err != nil {
		return nil, err
	}
	// All that needs the disk comes before the stop too: on a full or read-only disk the app goes on running.
	if err := tx.Stage(); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	started := e.now()
	was, err := e.nowUp(ctx, conn, a)
	if err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	if err := e.takeAway(ctx, conn, a, listed, tx); err != nil {
		return nil, errors.Join(err, e.bringBack(ctx, conn, a, was, tx))
	}
	for _, unit := range was.instances {
		_, i, _ := units.ParseInstance(unit)
		stopped = append(stopped, control.Rolled{Unit: unit, Instance: i})
	}
	killed := e.withKilled(ctx, a, nil, started) // while its journal is there
	if err := e.sweep(ctx, conn, a, listed, keepLogs, tx); err != nil {
		return stopped, errors.Join(err, killed)
	}
	e.note("%s is gone", n)
	return stopped, errors.Join(lock.Remove(), killed)
}

// takeAway disables and stops the app, and removes its files.
func (e *env) takeAway(ctx context.Context, conn *control.Conn, a units.App, listed int, tx *install.Tx) error {
	if err := conn.Disable(ctx, a.Name.Service()); err != nil {
		return err
	}
	e.note("stopping %s", a.Name)
	if err := e.stopAll(ctx, conn, a, listed); err != nil {
		return err
	}
	if err := tx.Write(); err != nil {
		return err
	}
	// The administrator may have linked to the files too, for example with "systemctl add-wants".
	_, err := e.store.RemoveLinks(a.Name)
	return err
}

// tidy removes what an uninstall leaves that is killed when all is done but the end: its lock, and what taking a lock sweeps
// away. It is for an app that is not there; whether that is so is looked at again under the lock.
func (e *env) tidy(ctx context.Context, n units.Name) {
	lock, err := e.lock(ctx, n)
	if err != nil {
		return
	}
	var gone *install.NotInstalledError
	if errors.As(e.mustExist(n), &gone) {
		_ = lock.Remove()
		return
	}
	_ = lock.Unlock()
}

// takeDown stops the app for good.
func (e *env) takeDown(ctx context.Context, conn *control.Conn, a units.App, listed int) error {
	if err := e.stopAll(ctx, conn, a, listed); err != nil {
		return err
	}
	if err := conn.Disable(ctx, a.Name.Service()); err != nil {
		return err
	}
	// What else leads to our files, such as "systemctl add-wants multi-user.target app@2", would dangle.
	_, err := e.store.RemoveLinks(a.Name)
	return err
}

// sweep is what an uninstall does once the files are gone.
func (e *env) sweep(ctx context.Context, conn *control.Conn, a units.App, listed int, keepLogs bool, tx *install.Tx) error {
	limits, err := e.store.RemoveLimits(a)
	if err != nil {
		return err
	}
	if len(limits) > 0 {
		e.note("%s: removed what systemctl set-property has set: %s", a.Name, strings.Join(limits, ", "))
	}
	if err := conn.Reload(ctx); errors.Is(err, control.ErrNoSpace) {
		// All is stopped, and the files have gone: that systemd still knows their names does no harm.
		e.note("%s: %v; make space in /run, then sudo systemctl daemon-reload", a.Name, err)
	} else if err != nil {
		return err
	}
	if err := conn.ResetFailed(ctx, status.Units(a, listed)...); err != nil {
		return err
	}
	e.removeSockets(a)
	if a.Logs.Namespace {
		if err := e.endJournal(ctx, conn, a.Name, keepLogs); err != nil {
			return err
		}
	}
	if err := e.store.RemoveSecrets(a.Name); err != nil {
		return err
	}
	return tx.Commit()
}

// finishUninstall goes on with an uninstall that was killed: the app may be stopped already, and is not wanted any more.
func (e *env) finishUninstall(ctx context.Context, conn *control.Conn, n units.Name, p *install.Pending) error {
	e.note("%s: %q (pid %d) was killed half-way; finishing it", n, p.Command, p.PID)
	a := units.App{Name: n}
	for _, c := range p.Changes {
		if c.Path != e.store.ConfigPath(n) {
			continue
		}
		if apps, err := config.Decode(c.Path, c.Old); err == nil && len(apps) == 1 {
			a = apps[0]
		}
	}
	if err := e.takeDown(ctx, conn, a, units.MaxInstances); err != nil {
		return err
	}
	tx, err := p.RollForward()
	if err != nil {
		return err
	}
	return e.sweep(ctx, conn, a, units.MaxInstances, p.KeepLogs, tx)
}

// removeSockets removes the files of Unix sockets that nobody listens on any more; systemd leaves them (RemoveOnStop=).
func (e *env) removeSockets(a units.App) {
	for _, l := range a.Listen {
		if l.Network == units.Unix {
			e.removeSocket(l.Path)
		}
	}
}

// removeSocket leaves a socket that it cannot remove, and says so: nothing depends on it.
func (e *env) removeSocket(path string) {
	if !strings.HasPrefix(path, "/") {
		return // a name in the abstract namespace has no file
	}
	if err := install.RemoveSocket(path); err != nil {
		e.note("left in place: %v", err)
	}
}
