package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// undo is a change of an app that is to be taken back: by the command that made it, or by the next one after a kill.
type undo struct {
	name units.Name
	// files are the changes, was is what the app did before them, and since when they began.
	files  []install.Change
	was    install.Was
	since  time.Time
	settle time.Duration
	// restore puts the files back, and rollback ends the intent when all is done.
	restore, rollback func() error
}

// undo puts an app back on the configuration that it had: the files, then the sockets, then every instance that may have
// seen the new one. What was not touched since goes on as it is. The lock is held.
//
// It looks at what is there, and not at how far the change had come, so it does the same for a command that was killed, and
// for an undo that was. The intent goes last, but also when an instance does not run on the old configuration either: to
// try again would not help it.
func (e *env) undo(ctx context.Context, conn *control.Conn, r undo) error {
	if err := e.undoFiles(ctx, conn, r); err != nil {
		return err
	}
	err := e.undoUnits(ctx, conn, r)
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, r.rollback())
}

// undoFiles puts the files back, and has systemd read them.
func (e *env) undoFiles(ctx context.Context, conn *control.Conn, r undo) error {
	c := change{files: r.files}
	if c.cold() != "" {
		// Which addresses PID 1 has open nobody can tell now. It knows which units to stop by what it has in memory.
		if err := conn.StopApp(ctx, r.name); err != nil {
			return err
		}
	}
	if err := r.restore(); err != nil {
		return err
	}
	p := install.Plan{App: r.name, Changes: r.files}
	if err := errors.Join(e.dropRuntime(p), conn.Reload(ctx)); err != nil {
		return err
	}
	if p.NeedsJournal() {
		if err := e.rereadJournal(ctx, conn, r.name); err != nil {
			return err
		}
	}
	return e.closeAdded(ctx, conn, r)
}

// undoUnits brings everything to the state in which it was.
func (e *env) undoUnits(ctx context.Context, conn *control.Conn, r undo) error {
	cold := change{files: r.files}.cold() != ""
	listed := units.ListedInstances(install.FileOf(r.files, units.KindList).Old)
	if r.was == install.WasStopped {
		return e.stopStarted(ctx, conn, r)
	}
	if cold {
		if r.was != install.WasRunning {
			return nil
		}
		return e.startApp(ctx, conn, r.name, units.Sizing{Want: listed, Listed: listed}, r.settle)
	}
	return e.undoInstances(ctx, conn, r, listed)
}

// closeAdded stops the sockets that the change brought. Their files have gone, and no unit that systemd has read since
// requires them.
func (e *env) closeAdded(ctx context.Context, conn *control.Conn, r undo) error {
	added := change{files: r.files}.sockets(install.Create)
	if len(added) == 0 {
		return nil
	}
	if _, err := conn.Do(ctx, control.Stop, control.Replace, added...); err != nil {
		return err
	}
	var swapped []install.Change
	for _, f := range r.files {
		f.Old, f.New = f.New, f.Old
		swapped = append(swapped, f)
	}
	e.removeUnixSockets(swapped)
	return conn.ResetFailed(ctx, added...)
}

// stopStarted stops what was stopped before.
func (e *env) stopStarted(ctx context.Context, conn *control.Conn, r undo) error {
	if err := conn.StopApp(ctx, r.name); err != nil {
		return err
	}
	loaded, err := conn.Loaded(ctx, string(r.name)+"@*.service")
	if err != nil {
		return err
	}
	return conn.ResetFailed(ctx, append(loaded, r.name.Service())...)
}

// undoInstances brings back the sockets, the mark that the app runs, and the instances.
func (e *env) undoInstances(ctx context.Context, conn *control.Conn, r undo, listed int) error {
	var sockets []string
	for _, f := range r.files {
		if f.Kind() == units.KindSocket && f.Old != nil {
			sockets = append(sockets, filepath.Base(f.Path))
		}
	}
	loaded, err := conn.Loaded(ctx, string(r.name)+"@*.service")
	if err != nil {
		return err
	}
	all := slices.Concat([]string{r.name.Service()}, sockets, loaded)
	states, err := conn.States(ctx, all)
	if err != nil {
		return err
	}
	up := func(s control.State) bool { return s.Up() }
	if r.was == install.WasUnknown && !slices.ContainsFunc(states, up) {
		return nil // it is stopped, and was so for all that is known
	}
	var down []string
	for _, s := range states[1 : 1+len(sockets)] {
		if !s.Up() {
			down = append(down, s.Unit)
		}
	}
	switch {
	case len(down) > 0:
		err = e.openSockets(ctx, conn, r.name, down)
	case !states[0].Up():
		err = alone(ctx, conn, control.Start, r.name.Service())
	}
	if err != nil {
		return err
	}
	again, surplus := r.touched(states[1+len(sockets):], listed)
	if len(surplus) > 0 {
		if err := e.dropInstances(ctx, conn, r.name, surplus); err != nil {
			return err
		}
	}
	return e.restartEach(ctx, conn, r, again)
}

// touched sorts out the instances that were started or stopped since the change began, and those that are not listed.
func (r undo) touched(states []control.State, listed int) (again, surplus []int) {
	after := units.ListedInstances(install.FileOf(r.files, units.KindList).New)
	for _, s := range states {
		_, i, err := units.ParseInstance(s.Unit)
		switch {
		case err != nil || i == 0:
		case i > listed:
			if s.Active != control.Inactive {
				surplus = append(surplus, i)
			}
		case s.Skipped():
		case s.StateSince.After(r.since), s.ActiveSince.After(r.since), i > after && after > 0 && s.Active == control.Inactive:
			// Of one that was stopped because the list got shorter, PID 1 may have forgotten everything.
			again = append(again, i)
		}
	}
	slices.Sort(again)
	return again, surplus
}

// restartEach starts instances on the old configuration, one after the other. One that does not come up there either does
// not keep the others from it.
func (e *env) restartEach(ctx context.Context, conn *control.Conn, r undo, instances []int) error {
	if len(instances) == 0 {
		return nil
	}
	if err := e.store.ForgetRuns(r.name); err != nil {
		return err
	}
	p := e.newProgress(string(r.name), len(instances))
	defer p.end()
	var errs []error
	for _, i := range instances {
		if err := conn.RestartInstances(ctx, r.name, []int{i}, r.settle, p.observe); err != nil {
			errs = append(errs, fmt.Errorf("on the old configuration: %w", err))
		}
	}
	return errors.Join(errs...)
}

// targetNow looks at a target again, once its lock is held.
func (e *env) targetNow(t target) (target, error) {
	var err error
	if t.app, err = e.store.Load(t.app.Name); err != nil {
		return t, err
	}
	if t.listed, err = e.listed(t.app.Name); err != nil {
		return t, err
	}
	if t.instance > t.listed {
		return t, fault.WithHint(fmt.Errorf("%s has no instance %d", t.app.Name, t.instance), "it has %s@1 to %[1]s@%d", t.app.Name, t.listed)
	}
	return t, nil
}
