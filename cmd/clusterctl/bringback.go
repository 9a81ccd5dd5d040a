package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// upUnits is what ran of an app before an uninstall, and whether it starts at boot.
type upUnits struct {
	enabled, aggregate bool
	sockets, instances []string
}

// nowUp returns the units of the app that are up, or about to be.
func (e *env) nowUp(ctx context.Context, conn *control.Conn, a units.App) (u upUnits, err error) {
	instances, err := conn.Loaded(ctx, string(a.Name)+"@*.service")
	if err != nil {
		return u, err
	}
	sockets := a.Sockets()
	states, err := conn.States(ctx, append(append([]string{a.Name.Service()}, sockets...), instances...))
	if err != nil {
		return u, err
	}
	for i, s := range states {
		up := s.Up() || s.Active == control.Activating
		switch {
		case i == 0:
			u.aggregate, u.enabled = up, s.FileState == "enabled"
		case up && i <= len(sockets):
			u.sockets = append(u.sockets, s.Unit)
		case up:
			u.instances = append(u.instances, s.Unit)
		}
	}
	return u, nil
}

// bringBack undoes an uninstall that failed: the files, the link for the boot, and exactly the units that were up. It goes
// on after an interrupt of the command itself.
func (e *env) bringBack(ctx context.Context, conn *control.Conn, a units.App, was upUnits, tx *install.Tx) error {
	ctx = context.WithoutCancel(ctx)
	e.note("%s: putting everything back", a.Name)
	if err := tx.Rollback(); err != nil {
		return err
	}
	var errs []error
	if was.enabled {
		errs = append(errs, conn.Enable(ctx, a.Name.Service()))
	}
	errs = append(errs, conn.Reload(ctx))
	// The aggregate is started alone, because an instance that was stopped by hand stays down.
	switch {
	case was.aggregate && len(was.sockets) > 0:
		errs = append(errs, e.openSockets(ctx, conn, a.Name, was.sockets))
	case was.aggregate:
		errs = append(errs, alone(ctx, conn, control.Start, a.Name.Service()))
	case len(was.sockets) > 0:
		errs = append(errs, e.startSockets(ctx, conn, was.sockets))
	}
	if len(was.instances) > 0 {
		outcomes, err := conn.Do(ctx, control.Start, control.Replace, was.instances...)
		errs = append(errs, err)
		for _, o := range outcomes {
			if o.Err != nil {
				errs = append(errs, fmt.Errorf("start of %s: %w", o.Unit, o.Err))
			} else if o.Result != control.Done {
				errs = append(errs, &control.JobError{Unit: o.Unit, Op: control.Start, Result: o.Result})
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("putting %s back: %w", a.Name, err)
	}
	return nil
}
