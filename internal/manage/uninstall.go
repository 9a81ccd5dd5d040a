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

// Uninstall stops an app and removes all its files. After an error, Uninstall restores the files, and starts the units that
// were up.
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
		return nil, nil // Open has rolled back a first install that was killed
	}
	if _, err := s.Current(); err != nil {
		return nil, err
	}
	return s.uninstall(ctx, keepLogs)
}

func (s *Session) uninstall(ctx context.Context, keepLogs bool) (stopped []control.Rolled, err error) {
	listed, err := s.Listed()
	if err != nil {
		// The list was damaged or removed by hand. The hint of this error tells the user to uninstall the app, so continue.
		listed = units.MaxInstances
	}
	plan, err := s.Store.Plan(s.Name, nil, nil)
	if err != nil {
		return nil, err
	}
	plan.KeepLogs = keepLogs
	// The method Begin writes the intent. If this command is killed after the stop, the next command finds the intent and
	// completes the uninstall.
	tx, err := s.Store.Begin(plan)
	if err != nil {
		return nil, err
	}
	// The method Stage fails on a full or read-only disk. The app has not been stopped yet, so it keeps running.
	if err := tx.Stage(); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	started := s.Now()
	was, err := s.findUpUnits(ctx, s.app)
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
	killed := s.WithKilled(ctx, s.app, nil, started) // this reads log lines, so it must precede the removal of the journal
	if err := s.cleanUp(ctx, s.app, listed, keepLogs, tx); err != nil {
		return stopped, errors.Join(err, killed)
	}
	s.Note("%s is uninstalled", s.Name)
	return stopped, killed
}

// The method remove disables and stops the app, and removes its units.
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
	// Users may have made links to the units, for example with "systemctl add-wants multi-user.target app@2".
	_, err := s.Store.RemoveLinks(s.Name)
	return err
}

// cleanUp removes what remains of an app after its units are removed: settings of systemctl set-property, failed states,
// socket files, the journal, secrets and the intent.
func (s *Session) cleanUp(ctx context.Context, a units.App, listed int, keepLogs bool, tx *install.Tx) error {
	limits, err := s.Store.RemoveLimits(a)
	if err != nil {
		return err
	}
	if len(limits) > 0 {
		s.Note("%s: removed the settings of systemctl set-property: %s", s.Name, strings.Join(limits, ", "))
	}
	if err := s.Conn.Reload(ctx); errors.Is(err, control.ErrNoSpace) {
		// All units are stopped and removed, so the uninstall can continue although systemd still has them in memory.
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

// upUnits has the units of an app that are up or starting. The field aggregate is set if the service of the app is up or
// starting. The field enabled is set if the app starts at boot.
type upUnits struct {
	enabled, aggregate bool
	sockets, instances []string
}

// findUpUnits returns the units of the app that are up or starting.
func (s *Session) findUpUnits(ctx context.Context, a units.App) (u upUnits, err error) {
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

// The method restore undoes a failed uninstall. It restores the files, enables the app again if it was enabled, and starts
// the units that were up. An interrupt of the command does not stop the method.
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
	// The service of the app must start without its dependencies, because instances that the user had stopped must stay
	// stopped.
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
	// Rollback removes the intent. With the intent, the next command would complete the uninstall.
	if err := errors.Join(append(errs, tx.Rollback())...); err != nil {
		return fault.WithHint(fmt.Errorf("putting %s back: %w", s.Name, err), "sudo systemctl enable --now %s", s.Name.Service())
	}
	return nil
}
