package manage

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// compare plans the update, reports whether the app runs, and returns an error for whatever is in the way.
func (u *update) compare(ctx context.Context) (running bool, err error) {
	paths, err := u.Conn.UnitPaths(ctx)
	if err != nil {
		return false, err
	}
	if u.plan, err = u.Plan(u.Files); err != nil {
		return false, err
	}
	for _, c := range u.plan.Changes {
		if c.Op != install.Keep {
			u.out.Changed = append(u.out.Changed, c.Path)
		}
	}
	if u.from = units.ListedInstances(install.FileOf(u.plan.Changes, units.KindList).Old); u.from == 0 {
		// The list has been removed by hand; those that run are found by RollApp.
		u.from = u.Target.Sizing.Listed
	}
	if err := u.edited(); err != nil {
		return false, err
	}
	if err := u.Store.Conflicts(paths, u.Set); err != nil {
		return false, err
	}
	if running, err = u.running(ctx); err != nil {
		return false, err
	}
	return running, u.checkNewListeners(ctx)
}

// edited returns an error if the update would overwrite a unit that somebody has edited by hand.
func (u *update) edited() error {
	for _, c := range u.plan.Changes {
		switch {
		case c.Op == install.Keep || c.Old == nil:
		case !c.Unit():
			// The source is ours to write, and the revision keeps what it was.
			if c.Kind() == units.KindValues {
				continue // the values file has no mark by which an edit can be found
			}
			if apps, err := config.Decode(c.Path, c.Old); err == nil && len(apps) == 1 && !written(apps[0], c.Old) {
				u.Note("%s was edited by hand; what it was is kept in %s", c.Path, u.keptAt(c))
			}
		case !units.Edited(c.Old):
		case u.o.Force:
			u.Note("%s was edited by hand, and is overwritten; what it was is kept in %s", c.Path, u.keptAt(c))
		default:
			return fault.WithHint(fmt.Errorf("%q was edited by hand", c.Path), "put the edit into a drop-in, which stays: "+
				"sudo systemctl edit %s; clusterctl diff shows it; or overwrite it: --force", text.Shell(filepath.Base(c.Path)))
		}
	}
	return nil
}

// written returns whether a source is as clusterctl writes it, or wrote it when values were in it, or when "max" was not.
func written(a units.App, source []byte) bool {
	return slices.ContainsFunc([][]byte{config.EncodeNames(a), config.Encode(a)}, func(now []byte) bool {
		return bytes.Equal(now, source) || bytes.Equal(bytes.Replace(now, []byte("\ninstances: max\n"), []byte("\n"), 1), source)
	})
}

// keptAt returns where the old contents of a file can be read once the update is done.
func (u *update) keptAt(c install.Change) string {
	return u.Store.RevisionPath(u.Name, c)
}

// running reports whether the aggregate of the app, or one of its instances, is up or about to be.
func (u *update) running(ctx context.Context) (bool, error) {
	loaded, err := u.Conn.Loaded(ctx, string(u.Name)+"@*.service")
	if err != nil {
		return false, err
	}
	states, err := u.Conn.States(ctx, append([]string{u.Name.Service()}, loaded...))
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(states, func(s control.State) bool {
		return s.Up() || s.Active == control.Activating || s.WaitsForRestart()
	}), nil
}

// checkNewListeners tries the addresses that the app does not have yet. Its own sockets hold the others.
func (u *update) checkNewListeners(ctx context.Context) error {
	var held []units.Listener
	for _, c := range u.plan.Changes {
		if c.Kind() != units.KindSocket {
			continue
		}
		states, err := u.Conn.States(ctx, []string{filepath.Base(c.Path)})
		if err != nil {
			return err
		}
		if states[0].Up() {
			held = append(held, units.ReadSocket(c.Old).Listeners...)
		}
	}
	added := u.App
	added.Listen = slices.DeleteFunc(slices.Clone(u.App.Listen), func(l units.Listener) bool {
		return slices.ContainsFunc(held, l.SharesPort)
	})
	return u.CheckPorts(ctx, added)
}
