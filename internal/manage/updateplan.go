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
	"github.com/clusterctl/clusterctl/units/install"
)

// The method prepare sets the plan of the update and reports whether the app runs. It returns an error if the update is not
// possible.
func (u *update) prepare(ctx context.Context) (running bool, err error) {
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
		// The list was removed by hand, so the old number is unknown. RollApp skips instances that do not run.
		u.from = u.Target.Sizing.Listed
	}
	if err := u.checkEdits(); err != nil {
		return false, err
	}
	if err := u.Store.Conflicts(paths, u.Set); err != nil {
		return false, err
	}
	up, err := u.findUpUnits(ctx, u.app)
	if err != nil {
		return false, err
	}
	return up.aggregate || len(up.instances) > 0, u.checkNewListeners(ctx)
}

// checkEdits returns an error if the update would overwrite a unit that was edited by hand.
func (u *update) checkEdits() error {
	for _, c := range u.plan.Changes {
		switch {
		case c.Op == install.Keep || c.Old == nil:
		case !c.Unit():
			// An edited source is overwritten, because the revision keeps the old one. An edit of the values file cannot be
			// detected.
			if c.Kind() == units.KindValues {
				continue
			}
			if a, ok := u.decodeSource(c.Old); ok && !isGenerated(a, c.Old) {
				u.Note("%s was edited by hand; the old file is kept as %s", c.Path, u.Store.RevisionPath(u.Name, c))
			}
		case !units.Edited(c.Old):
		case u.o.Force:
			kept := u.Store.RevisionPath(u.Name, c)
			u.Note("%s was edited by hand and is overwritten; the old file is kept as %s", c.Path, kept)
		default:
			return fault.WithHint(fmt.Errorf("%q was edited by hand", c.Path), "put the edit into a drop-in, which is kept: "+
				"sudo systemctl edit %s; clusterctl diff shows it; or overwrite it: --force", text.Shell(filepath.Base(c.Path)))
		}
	}
	return nil
}

// isGenerated reports whether clusterctl has written this source of app a, and no user has edited the source. Older versions
// of clusterctl wrote the values of variables into the source, and omitted the line "instances: max".
func isGenerated(a units.App, source []byte) bool {
	return slices.ContainsFunc([][]byte{config.EncodeNames(a), config.Encode(a)}, func(now []byte) bool {
		return bytes.Equal(now, source) || bytes.Equal(bytes.Replace(now, []byte("\ninstances: max\n"), []byte("\n"), 1), source)
	})
}

// checkNewListeners returns an error for each new listener whose address is in use. It does not check an address that an
// open socket of the app already has.
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
