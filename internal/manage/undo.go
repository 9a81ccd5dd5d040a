package manage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// undo is a change of an app that is to be taken back: by the command that made it, or by the next one after a kill.
type undo struct {
	*Session
	// files are the changes, was is whether the app ran before them, and since is when they began.
	files  []install.Change
	was    install.Was
	since  time.Time
	settle time.Duration
	// restore puts the files back, and rollback ends the intent when all is done.
	restore, rollback func() error
}

// run puts an app back on the configuration that it had: the files, then the sockets, then every instance that may have
// seen the new one. Units that were not touched since stay as they are.
//
// It looks at what is there, and not at how far the change had come, so it does the same for a command that was killed, and
// for an undo that was. The intent goes last, but also when an instance does not run on the old configuration either: to
// try again would not help it.
func (r undo) run(ctx context.Context) error {
	if err := r.undoFiles(ctx); err != nil {
		return err
	}
	err := r.undoUnits(ctx)
	if canRetry(err) {
		return err
	}
	return errors.Join(err, r.rollback())
}

// undoFiles puts the files back, and has systemd read ther.
func (r undo) undoFiles(ctx context.Context) error {
	c := change{files: r.files}
	if c.cold() != "" {
		// It is not known which addresses PID 1 has open now. It knows from its memory which units to stop.
		if err := r.Conn.StopApp(ctx, r.Name); err != nil {
			return err
		}
	}
	if err := r.restore(); err != nil {
		return err
	}
	if err := errors.Join(r.dropRuntime(r.files), r.Conn.Reload(ctx)); err != nil {
		return err
	}
	if (install.Plan{Changes: r.files}).NeedsJournal() {
		if err := r.rereadJournal(ctx); err != nil {
			return err
		}
	}
	return r.closeAdded(ctx)
}

// undoUnits brings everything to the state in which it was.
func (r undo) undoUnits(ctx context.Context) error {
	cold := change{files: r.files}.cold() != ""
	listed := units.ListedInstances(install.FileOf(r.files, units.KindList).Old)
	if r.was == install.WasStopped {
		return r.stopStarted(ctx)
	}
	if cold {
		if r.was != install.WasRunning {
			return nil
		}
		return r.startApp(ctx, listed, listed, r.settle, nil)
	}
	return r.undoInstances(ctx, listed)
}

// closeAdded stops the sockets that the change has added. Their files are gone, and no unit that systemd has read since
// requires ther.
func (r undo) closeAdded(ctx context.Context) error {
	added := change{files: r.files}.sockets(install.Create)
	if len(added) == 0 {
		return nil
	}
	if _, err := r.Conn.Do(ctx, control.Stop, control.Replace, added...); err != nil {
		return err
	}
	var swapped []install.Change
	for _, f := range r.files {
		f.Old, f.New = f.New, f.Old
		swapped = append(swapped, f)
	}
	r.removeUnixSockets(swapped)
	return r.Conn.ResetFailed(ctx, added...)
}

// stopStarted stops what was stopped before.
func (r undo) stopStarted(ctx context.Context) error {
	if err := r.Conn.StopApp(ctx, r.Name); err != nil {
		return err
	}
	loaded, err := r.Conn.Loaded(ctx, string(r.Name)+"@*.service")
	if err != nil {
		return err
	}
	return r.Conn.ResetFailed(ctx, append(loaded, r.Name.Service())...)
}

// undoInstances brings back the sockets, the mark that the app runs, and the instances.
func (r undo) undoInstances(ctx context.Context, listed int) error {
	var sockets []string
	for _, f := range r.files {
		if f.Kind() == units.KindSocket && f.Old != nil {
			sockets = append(sockets, filepath.Base(f.Path))
		}
	}
	loaded, err := r.Conn.Loaded(ctx, string(r.Name)+"@*.service")
	if err != nil {
		return err
	}
	all := slices.Concat([]string{r.Name.Service()}, sockets, loaded)
	states, err := r.Conn.States(ctx, all)
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
		err = r.openSockets(ctx, down)
	case !states[0].Up():
		err = r.isolatedJob(ctx, control.Start, r.Name.Service())
	}
	if err != nil {
		return err
	}
	again, surplus := r.touched(states[1+len(sockets):], listed)
	if len(surplus) > 0 {
		if err := r.dropInstances(ctx, surplus); err != nil {
			return err
		}
	}
	return r.restartEach(ctx, again)
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

// restartEach starts instances on the old configuration, one after the other. It continues after one that does not come up.
func (r undo) restartEach(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	if err := r.Store.ForgetRuns(r.Name); err != nil {
		return err
	}
	p := r.Progress(r.Name, len(list))
	defer p.End()
	var errs []error
	for _, i := range list {
		if err := r.Conn.RestartInstances(ctx, r.Name, []int{i}, r.settle, p.Observe); err != nil {
			errs = append(errs, fmt.Errorf("on the old configuration: %w", err))
		}
	}
	return errors.Join(errs...)
}
