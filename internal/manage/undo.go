package manage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// An undo rolls back a change of an app. The command that made the change runs the undo after an error. If that command was
// killed, the next command runs the undo.
type undo struct {
	*Session
	// The field files has the changed files. The field was has the state of the app before the change, and the field since
	// has the time when the change began.
	files  []install.Change
	was    install.Was
	since  time.Time
	settle time.Duration
	// The field tx restores the files, and removes the intent at the end.
	tx interface {
		Restore() error
		Rollback() error
	}
}

// The method run restores the old configuration of an app: first the files, then the sockets, and then each instance that
// may run with the new configuration. Unchanged units keep running.
//
// The method reads the current states of the units, so it also works after a killed command or a killed undo. The
// intent is removed last. If an instance fails with the old configuration, the intent is removed too, because a second undo
// would fail in the same way.
func (r undo) run(ctx context.Context) error {
	if err := r.undoFiles(ctx); err != nil {
		return err
	}
	err := r.undoUnits(ctx)
	if canRetry(err) {
		return err
	}
	return errors.Join(err, r.tx.Rollback())
}

func (r undo) undoFiles(ctx context.Context) error {
	if (change{files: r.files}).stopReason() != "" {
		// PID 1 may have loaded the old or the new socket units. StopApp stops all loaded units.
		if err := r.Conn.StopApp(ctx, r.Name); err != nil {
			return err
		}
	}
	if err := r.tx.Restore(); err != nil {
		return err
	}
	if err := errors.Join(r.removeRuntimeCopies(r.files), r.Conn.Reload(ctx)); err != nil {
		return err
	}
	if (install.Plan{Changes: r.files}).NeedsJournal() {
		if err := r.restartJournal(ctx); err != nil {
			return err
		}
	}
	return r.closeAdded(ctx)
}

// undoUnits starts, stops or restarts units until the app is in the state before the change.
func (r undo) undoUnits(ctx context.Context) error {
	listed := units.ListedInstances(install.FileOf(r.files, units.KindList).Old)
	if r.was == install.WasStopped {
		return r.stopStarted(ctx)
	}
	if (change{files: r.files}).stopReason() != "" {
		if r.was != install.WasRunning {
			return nil
		}
		return r.startApp(ctx, listed, listed, control.Settling{Time: r.settle}, nil)
	}
	return r.undoInstances(ctx, listed)
}

// closeAdded stops the sockets that the change has added. The unit files of these sockets must already be removed.
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
	r.removeOldSockets(swapped)
	return r.Conn.ResetFailed(ctx, added...)
}

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

// undoInstances starts the sockets and the service of the app if they are down. Then undoInstances restarts the changed
// instances, and removes the unlisted instances.
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
	if r.was == install.WasUnknown && !slices.ContainsFunc(states, control.State.Up) {
		return nil // all units are down, so the app was probably stopped before the change
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
	changed, unlisted := r.findChanged(states[1+len(sockets):], listed)
	if err := r.removeInstances(ctx, unlisted); err != nil {
		return err
	}
	return r.restartEach(ctx, changed)
}

// findChanged returns the listed instances that were started or stopped since the change began, and the running instances
// that are not listed.
func (r undo) findChanged(states []control.State, listed int) (changed, unlisted []int) {
	after := units.ListedInstances(install.FileOf(r.files, units.KindList).New)
	for _, s := range states {
		_, i, err := units.ParseInstance(s.Unit)
		switch {
		case err != nil || i == 0:
		case i > listed:
			if s.Active != control.Inactive {
				unlisted = append(unlisted, i)
			}
		case s.Skipped():
		case s.StateSince.After(r.since), s.ActiveSince.After(r.since), i > after && after > 0 && s.Active == control.Inactive:
			// The new list omits this instance, so the change may have stopped it. PID 1 may have forgotten the time of the
			// stop.
			changed = append(changed, i)
		}
	}
	slices.Sort(changed)
	return changed, unlisted
}

// restartEach restarts instances with the old configuration, one after the other. restartEach continues after an instance
// that fails.
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
			errs = append(errs, fmt.Errorf("with the old configuration: %w", err))
		}
	}
	return errors.Join(errs...)
}

// If the last command on the app was killed, the method repair completes this command or rolls it back. It completes an
// uninstall and a scale to fewer instances, and rolls back any other command. The rollback of a first install removes the
// app.
func (s *Session) repair(ctx context.Context) error {
	pending, found, err := s.Store.Pending(s.Name)
	if err != nil {
		return err
	}
	if !found {
		return s.stopExtra(ctx)
	}
	switch {
	case pending.Uninstall:
		return s.finishUninstall(ctx, pending)
	case pending.Scale:
		return errors.Join(s.finishScale(ctx, pending), s.stopExtra(ctx))
	}
	s.Note("%s: %q (pid %d) was killed half-way; putting everything back as it was", s.Name, pending.Command, pending.PID)
	isNew := !slices.ContainsFunc(pending.Changes, func(c install.Change) bool { return c.Old != nil })
	// If the app was stopped, the command may have started units even if it has changed no file.
	if !isNew && (!pending.Untouched || pending.Was == install.WasStopped) {
		r := undo{Session: s, files: pending.Changes, tx: pending, was: pending.Was, since: pending.Since, settle: DefaultSettle}
		return errors.Join(r.run(ctx), s.stopExtra(ctx))
	}
	if err := s.removeRuntimeCopies(pending.Changes); err != nil {
		return err
	}
	if isNew {
		if err := s.stopPending(ctx, pending); err != nil {
			return err
		}
	}
	if err := pending.Rollback(); err != nil {
		return err
	}
	return s.Conn.Reload(ctx)
}

func (s *Session) stopPending(ctx context.Context, p *install.Pending) error {
	a, ok := s.decodeSource(install.FileOf(p.Changes, units.KindSource).New)
	if !ok {
		return nil
	}
	if err := s.stopAll(ctx, a, units.MaxInstances); err != nil {
		return err
	}
	if err := s.Conn.Disable(ctx, s.Name.Service()); err != nil {
		return err
	}
	s.removeSockets(a.Listen)
	return nil
}

// decodeSource returns the app that a source describes. If the source is missing or damaged, decodeSource returns an app
// that has only a name, and false.
func (s *Session) decodeSource(source []byte) (a units.App, ok bool) {
	if apps, err := config.Decode("", source); err == nil && len(apps) == 1 {
		return apps[0], true
	}
	return units.App{Name: s.Name}, false
}

// stopExtra stops the extra instances of a reload or scale, and removes their state and marks. If an extra instance is
// listed now, stopExtra only removes its mark. stopExtra also works after the reload or scale was killed.
func (s *Session) stopExtra(ctx context.Context) error {
	extra, err := s.Store.Extra(s.Name)
	if err != nil || len(extra) == 0 {
		return err
	}
	listed, err := s.Store.Listed(s.Name)
	if err != nil {
		listed = 0 // "clusterctl generate" has written the units, or they are missing
	}
	unlisted := slices.DeleteFunc(slices.Clone(extra), func(i int) bool { return i <= listed })
	if err := s.removeInstances(ctx, unlisted); err != nil {
		return err
	}
	return s.Store.UnmarkExtra(s.Name, extra...)
}
