package manage

import (
	"context"
	"errors"
	"slices"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
)

// repair handles a command that was killed. It completes an uninstall or a scale to fewer instances, and rolls back any
// other command. After the rollback of a first install nothing of the app remains.
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
	// A start of a stopped app changes no file, but it may have started units.
	if !isNew && (!pending.Untouched || pending.Was == install.WasStopped) {
		r := undo{Session: s, files: pending.Changes, tx: pending, was: pending.Was, since: pending.Since, settle: DefaultSettle}
		return errors.Join(r.run(ctx), s.stopExtra(ctx))
	}
	if err := s.dropRuntime(pending.Changes); err != nil {
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

// stopPending stops an app whose first install was killed.
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

// decodeSource returns the app that a source describes. If the source is missing or damaged, the app has only a name.
func (s *Session) decodeSource(source []byte) (a units.App, ok bool) {
	if apps, err := config.Decode("", source); err == nil && len(apps) == 1 {
		return apps[0], true
	}
	return units.App{Name: s.Name}, false
}

// stopExtra stops the extra instances of a reload or scale and removes their state, after the command or after it was
// killed. It keeps instances that are listed now.
func (s *Session) stopExtra(ctx context.Context) error {
	extra, err := s.Store.Extra(s.Name)
	if err != nil || len(extra) == 0 {
		return err
	}
	listed, err := s.Store.Listed(s.Name)
	if err != nil {
		listed = 0 // the units were only generated, or are missing
	}
	unlisted := slices.DeleteFunc(slices.Clone(extra), func(i int) bool { return i <= listed })
	if len(unlisted) > 0 {
		if err := s.Conn.StopInstances(ctx, s.Name, unlisted); err != nil {
			return err
		}
		if err := s.forgetInstances(ctx, unlisted); err != nil {
			return err
		}
	}
	return s.Store.UnmarkExtra(s.Name, extra...)
}
