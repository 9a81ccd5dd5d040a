package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// background is what takes more than a look at the units, for "show".
type background struct {
	// DropIns are those that are not ours.
	DropIns []string `json:"dropIns"`
	// Drift are the files that are not as clusterctl would write them now, nil where that cannot be said.
	Drift []drift `json:"drift"`
	// DriftUnknown is why it cannot be said.
	DriftUnknown string `json:"driftUnknown,omitempty"`
	// Unsafe are paths that root obeys and others may change, as far as the caller may look.
	Unsafe []guard.UnsafePath `json:"unsafePaths,omitempty"`
	// NeedReload are units whose file has changed since systemd read it.
	NeedReload []string `json:"needReload"`
	// Suppressed are the log lines that the journal has dropped since boot; absent where that cannot be read.
	Suppressed *int64 `json:"suppressedLogLines,omitempty"`
}

// drift is one file. What is "changed", "missing", "left over" or "foreign".
type drift struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// refresh looks at the units anew, since no event tells of a file that changed, and at the slices, the files and the journal.
func (x *examiner) refresh(ctx context.Context, conn *control.Conn, l *appList) error {
	var names []string
	for _, a := range l.known {
		names = append(append(names, a.app.Name.Slice()), unitsOf(a.app, a.listed)...)
	}
	states, err := conn.States(ctx, names)
	if err != nil {
		return err
	}
	x.at, x.last, x.sums = x.e.now(), map[units.Name]background{}, map[units.Name]control.State{}
	for _, a := range l.known {
		n := 1 + len(unitsOf(a.app, a.listed))
		own := states[:n]
		states = states[n:]
		b := background{DropIns: dropIns(a.app.Name, own), NeedReload: []string{}, Drift: []drift{}}
		for _, st := range own {
			if st.NeedDaemonReload {
				b.NeedReload = append(b.NeedReload, st.Unit)
			}
		}
		if b.Drift, err = x.e.driftOf(ctx, conn, a); err != nil {
			b.Drift, b.DriftUnknown = []drift{}, err.Error()
		}
		b.Unsafe = x.e.guard().Unsafe(a.app)
		b.Suppressed = x.e.suppressed(ctx, a.app)
		x.last[a.app.Name], x.sums[a.app.Name] = b, own[0]
	}
	return ctx.Err()
}

// dropIns are those of any of the units, without our own.
func dropIns(app units.Name, states []control.State) []string {
	all := []string{}
	for _, st := range states {
		for _, path := range st.DropIns {
			if !strings.HasSuffix(path, "/"+app.DropIn()) && !strings.HasSuffix(path, "/"+app.SecretsDropIn()) {
				all = append(all, path)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// driftOf compares the unit files with what this version would write for the app as it is described. The number of
// instances is that on disk: it is what "scale" changes.
func (e *env) driftOf(ctx context.Context, conn *control.Conn, a listedApp) ([]drift, error) {
	if e.store.Packaged(a.app.Name) {
		return []drift{}, nil // dpkg --verify knows
	}
	t, _, err := e.thisMachine(ctx, conn, a.app)
	if err != nil {
		return nil, err
	}
	t.Sizing.Listed = a.listed
	set, err := units.Render(a.app, t)
	if err != nil {
		return nil, err
	}
	plan, err := e.store.Plan(a.app.Name, set, config.EncodeNames(a.app))
	if err != nil {
		return foreignDrift(err)
	}
	list := []drift{}
	for _, c := range plan.Changes {
		if !c.Unit() {
			continue // people may write that file as they like
		}
		switch c.Op {
		case install.Create:
			list = append(list, drift{c.Path, "missing"})
		case install.Update:
			list = append(list, drift{c.Path, "changed"})
		case install.Remove:
			list = append(list, drift{c.Path, "left over"})
		}
	}
	return list, nil
}

// foreignDrift: a file in the place of ours that has lost our mark, or a link such as a mask.
func foreignDrift(err error) ([]drift, error) {
	list := []drift{}
	for _, one := range fault.Flatten(err) {
		var foreign *install.ForeignError
		if !errors.As(one, &foreign) {
			return nil, err
		}
		what := "foreign"
		if foreign.Masked {
			what = "masked"
		}
		list = append(list, drift{foreign.Path, what})
	}
	return list, nil
}

// suppressed is nil where it is not known: the journal of others looks empty to who may not read it.
func (e *env) suppressed(ctx context.Context, app units.App) *int64 {
	n, err := journal.Suppressed(ctx, app.LogNamespace(), func(unit string) bool {
		name, _, err := units.ParseInstance(unit)
		return err == nil && name == app.Name
	})
	if err != nil || n == 0 && e.euid != 0 {
		return nil
	}
	return &n
}
