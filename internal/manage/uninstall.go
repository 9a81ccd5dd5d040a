package manage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// Uninstall stops an app and removes all its files. After an error its files are as before.
func (m *Manager) Uninstall(ctx context.Context, n units.Name, keepLogs bool) (AppResult, error) {
	started := m.Now()
	stopped, err := m.uninstall(ctx, n, keepLogs)
	r := NewAppResult(n, stopped, m.Now().Sub(started), err)
	for i := range r.Instances {
		r.Instances[i].Outcome = "stopped"
	}
	m.Kills.mark(r.Instances)
	return r, err
}

func (m *Manager) uninstall(ctx context.Context, n units.Name, keepLogs bool) (stopped []control.Rolled, err error) {
	s, err := m.Open(ctx, n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if !s.Installed() {
		return nil, nil // Open has repaired an unfinished install
	}
	if _, err := s.Current(); err != nil {
		return nil, err
	}
	return s.uninstall(ctx, keepLogs)
}

func (s *Session) uninstall(ctx context.Context, keepLogs bool) (stopped []control.Rolled, err error) {
	listed, err := s.Listed()
	if err != nil {
		// The list was damaged or removed by hand. The hint of this error is to uninstall.
		listed = units.MaxInstances
	}
	plan, err := s.Store.Plan(s.Name, nil, nil)
	if err != nil {
		return nil, err
	}
	plan.KeepLogs = keepLogs
	// The intent must be on disk before the stop, so that the next command completes the uninstall if this one is killed.
	tx, err := s.Store.Begin(plan)
	if err != nil {
		return nil, err
	}
	// Stage fails on a full or read-only disk. It comes before the stop, so that the app keeps running then.
	if err := tx.Stage(); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	started := s.Now()
	was, err := s.unitsUp(ctx, s.app)
	if err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	if err := s.remove(ctx, listed, tx); err != nil {
		return nil, errors.Join(err, s.restore(ctx, was, tx))
	}
	for _, unit := range was.instances {
		_, i, _ := units.ParseInstance(unit)
		stopped = append(stopped, control.Rolled{Unit: unit, Instance: i})
	}
	killed := s.WithKilled(ctx, s.app, nil, started) // before the journal is removed
	if err := s.cleanUp(ctx, s.app, listed, keepLogs, tx); err != nil {
		return stopped, errors.Join(err, killed)
	}
	s.Note("%s is gone", s.Name)
	return stopped, killed
}

// remove disables and stops the app, and removes its units.
func (s *Session) remove(ctx context.Context, listed int, tx *install.Tx) error {
	if err := s.Conn.Disable(ctx, s.Name.Service()); err != nil {
		return err
	}
	s.Note("stopping %s", s.Name)
	if err := s.stopAll(ctx, s.app, listed); err != nil {
		return err
	}
	if err := tx.Write(); err != nil {
		return err
	}
	// Links that users have made, for example with "systemctl add-wants multi-user.target app@2", would be dangling.
	_, err := s.Store.RemoveLinks(s.Name)
	return err
}

// cleanUp removes everything else of an app whose units are removed.
func (s *Session) cleanUp(ctx context.Context, a units.App, listed int, keepLogs bool, tx *install.Tx) error {
	limits, err := s.Store.RemoveLimits(a)
	if err != nil {
		return err
	}
	if len(limits) > 0 {
		s.Note("%s: removed the settings of systemctl set-property: %s", s.Name, strings.Join(limits, ", "))
	}
	if err := s.Conn.Reload(ctx); errors.Is(err, control.ErrNoSpace) {
		// All units are stopped and removed. It does not matter that systemd still has them in memory.
		s.Note("%s: %v; make space in /run, then sudo systemctl daemon-reload", s.Name, err)
	} else if err != nil {
		return err
	}
	if err := s.Conn.ResetFailed(ctx, status.Units(a, listed)...); err != nil {
		return err
	}
	s.removeSockets(a.Listen)
	if a.Logs.Namespace {
		if err := s.endJournal(ctx, keepLogs); err != nil {
			return err
		}
	}
	if err := s.Store.RemoveSecrets(s.Name); err != nil {
		return err
	}
	return tx.Commit()
}

// finishUninstall completes an uninstall that was killed. The app may already be stopped.
func (s *Session) finishUninstall(ctx context.Context, p *install.Pending) error {
	s.Note("%s: %q (pid %d) was killed half-way; finishing it", s.Name, p.Command, p.PID)
	a, _ := s.decodeSource(install.FileOf(p.Changes, units.KindSource).Old)
	if err := s.stopAll(ctx, a, units.MaxInstances); err != nil {
		return err
	}
	if err := s.Conn.Disable(ctx, s.Name.Service()); err != nil {
		return err
	}
	if _, err := s.Store.RemoveLinks(s.Name); err != nil {
		return err
	}
	tx, err := p.RollForward()
	if err != nil {
		return err
	}
	return s.cleanUp(ctx, a, units.MaxInstances, p.KeepLogs, tx)
}

// upUnits are the units of an app that are up. enabled is set if the app starts at boot.
type upUnits struct {
	enabled, aggregate bool
	sockets, instances []string
}

// unitsUp returns the units of the app that are up or starting.
func (s *Session) unitsUp(ctx context.Context, a units.App) (u upUnits, err error) {
	instances, err := s.Conn.Loaded(ctx, string(s.Name)+"@*.service")
	if err != nil {
		return u, err
	}
	sockets := a.Sockets()
	states, err := s.Conn.States(ctx, append(append([]string{s.Name.Service()}, sockets...), instances...))
	if err != nil {
		return u, err
	}
	for i, st := range states {
		up := st.Up() || st.Active == control.Activating
		switch {
		case i == 0:
			u.aggregate, u.enabled = up, st.FileState == "enabled"
		case up && i <= len(sockets):
			u.sockets = append(u.sockets, st.Unit)
		case up:
			u.instances = append(u.instances, st.Unit)
		}
	}
	return u, nil
}

// restore undoes a failed uninstall. It restores the files and the link for the boot, and starts exactly the units that were
// up. It ignores an interrupt of the command.
func (s *Session) restore(ctx context.Context, was upUnits, tx *install.Tx) error {
	ctx = context.WithoutCancel(ctx)
	s.Note("%s: putting everything back", s.Name)
	if err := tx.Restore(); err != nil {
		return err
	}
	var errs []error
	if was.enabled {
		errs = append(errs, s.Conn.Enable(ctx, s.Name.Service()))
	}
	errs = append(errs, s.Conn.Reload(ctx))
	// The aggregate is started without its dependencies, because they include instances that were stopped by hand.
	switch {
	case was.aggregate && len(was.sockets) > 0:
		errs = append(errs, s.openSockets(ctx, was.sockets))
	case was.aggregate:
		errs = append(errs, s.isolatedJob(ctx, control.Start, s.Name.Service()))
	case len(was.sockets) > 0:
		errs = append(errs, s.startSockets(ctx, was.sockets))
	}
	if len(was.instances) > 0 {
		outcomes, err := s.Conn.Do(ctx, control.Start, control.Replace, was.instances...)
		errs = append(errs, err)
		for _, o := range outcomes {
			errs = append(errs, jobError(o, control.Start))
		}
	}
	// The intent must not stay, because otherwise the next command would complete the uninstall.
	if err := errors.Join(append(errs, tx.Rollback())...); err != nil {
		return fault.WithHint(fmt.Errorf("putting %s back: %w", s.Name, err), "sudo systemctl enable --now %s", s.Name.Service())
	}
	return nil
}
