package manage

import (
	"context"
	"errors"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
)

// repair deals with what a command that was killed left behind. An uninstall is finished, and so is a scale on its way down.
// The files of any other command are put back as they were before it; for a first install nothing of the app remains.
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
	fresh := true
	for _, c := range pending.Changes {
		fresh = fresh && c.Old == nil
	}
	if !fresh && !pending.Untouched {
		r := undo{
			Session: s, files: pending.Changes, was: pending.Was, since: pending.Since, settle: DefaultSettle,
			restore: pending.Restore, rollback: pending.Rollback,
		}
		return errors.Join(r.run(ctx), s.stopExtra(ctx))
	}
	if err := s.dropRuntime(pending.Changes); err != nil {
		return err
	}
	if fresh {
		if err := s.stopPending(ctx, pending); err != nil {
			return err
		}
	}
	if err := pending.Rollback(); err != nil {
		return err
	}
	return s.Conn.Reload(ctx)
}

// stopPending stops an app of which only an unfinished install is known.
func (s *Session) stopPending(ctx context.Context, p *install.Pending) error {
	a, found := s.sourceIn(p, func(c install.Change) []byte { return c.New })
	if !found {
		return nil
	}
	if err := s.stopAll(ctx, a, units.MaxInstances); err != nil {
		return err
	}
	if err := s.Conn.Disable(ctx, s.Name.Service()); err != nil {
		return err
	}
	s.removeSockets(a)
	return nil
}

// sourceIn returns the app that one side of an intent describes.
func (s *Session) sourceIn(p *install.Pending, side func(install.Change) []byte) (a units.App, found bool) {
	for _, c := range p.Changes {
		if c.Path != s.Store.ConfigPath(s.Name) {
			continue
		}
		if apps, err := config.Decode(c.Path, side(c)); err == nil && len(apps) == 1 {
			return apps[0], true
		}
	}
	return units.App{Name: s.Name}, false
}

// stopExtra stops and forgets the extra instances of a reload or of a scale: at its end, or when it was killed. One that
// the units list by now stays.
func (s *Session) stopExtra(ctx context.Context) error {
	extra, err := s.Store.Extra(s.Name)
	if err != nil || len(extra) == 0 {
		return err
	}
	listed, err := s.Store.Listed(s.Name)
	if err != nil {
		listed = 0 // of units that were only generated, or that are gone
	}
	var over []int
	for _, i := range extra {
		if i > listed {
			over = append(over, i)
		}
	}
	if len(over) > 0 {
		if err := s.Conn.StopInstances(ctx, s.Name, over); err != nil {
			return err
		}
		if err := s.forgetInstances(ctx, over); err != nil {
			return err
		}
	}
	return s.Store.UnmarkExtra(s.Name, extra...)
}
