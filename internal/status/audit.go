package status

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// Audit has the details of an app that are from files, slices and the journal.
type Audit struct {
	// DropIns has the drop-ins that clusterctl has not written.
	DropIns []string `json:"dropIns"`
	// Drift has the unit files that are not equal to the files that clusterctl would write now. Drift is empty if
	// DriftUnknown is set.
	Drift []Drift `json:"drift"`
	// DriftUnknown is the error that has prevented the comparison of the files.
	DriftUnknown string `json:"driftUnknown,omitempty"`
	// Unsafe has the paths that the app depends on and that other users may change. Paths that the caller cannot check are
	// absent.
	Unsafe []guard.UnsafePath `json:"unsafePaths,omitempty"`
	// NeedReload has the units whose files have changed after systemd read them.
	NeedReload []string `json:"needReload"`
	// Suppressed is the number of log lines that the journal has dropped since boot, or nil if this number is unknown.
	Suppressed *int64 `json:"suppressedLogLines,omitempty"`
}

// Drift is a unit file that is not as clusterctl would write it. The field What has the difference: "changed", "missing",
// "left over", "foreign" or "masked".
type Drift struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// auditAge is the time after which a watch makes a new audit. An audit is expensive, so a watch uses the result of the last
// audit until then.
const auditAge = 10 * time.Second

// The method audit sets the audit and the slice of each app. It reads the states of the units again, because systemd sends
// no signal when a unit file changes. It also reads the unit files and the journal.
func (c *Collector) audit(ctx context.Context, l *List) error {
	var names []string
	for _, a := range l.Known {
		names = append(append(names, a.App.Name.Slice()), Units(a.App, a.Count)...)
	}
	states, err := c.Conn.States(ctx, names)
	if err != nil {
		return err
	}
	c.audited, c.audits, c.slices = c.Now(), map[units.Name]Audit{}, map[units.Name]control.State{}
	for _, a := range l.Known {
		n := 1 + len(Units(a.App, a.Count))
		own := states[:n]
		states = states[n:]
		b := Audit{DropIns: dropIns(a.App.Name, own), NeedReload: []string{}, Drift: []Drift{}}
		for _, st := range own {
			if st.NeedDaemonReload {
				b.NeedReload = append(b.NeedReload, st.Unit)
			}
		}
		if b.Drift, err = c.drift(ctx, a); err != nil {
			b.Drift, b.DriftUnknown = []Drift{}, err.Error()
		}
		b.Unsafe = c.Guard.Unsafe(a.App)
		b.Suppressed = c.suppressedLines(ctx, a.App)
		c.audits[a.App.Name], c.slices[a.App.Name] = b, own[0]
	}
	return ctx.Err()
}

// dropIns returns the drop-ins in the states of units, except the drop-ins that clusterctl has written.
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

// The method drift returns the unit files that are not equal to the files that this version of clusterctl would write for
// the app. It uses the number of instances from the instance list on disk.
func (c *Collector) drift(ctx context.Context, a Listed) ([]Drift, error) {
	if c.Store.Packaged(a.App.Name) {
		return []Drift{}, nil // the files are from a package, and dpkg --verify can compare them
	}
	t, err := c.Target(ctx, a.App)
	if err != nil {
		return nil, err
	}
	t.Sizing.Listed = a.Count
	set, err := units.Render(a.App, t)
	if err != nil {
		return nil, err
	}
	plan, err := c.Store.Plan(a.App.Name, set, config.EncodeNames(a.App))
	if err != nil {
		return driftOfError(err)
	}
	list := []Drift{}
	for _, change := range plan.Changes {
		if !change.Unit() {
			continue // users may edit the description
		}
		switch change.Op {
		case install.Create:
			list = append(list, Drift{change.Path, "missing"})
		case install.Update:
			list = append(list, Drift{change.Path, "changed"})
		case install.Remove:
			list = append(list, Drift{change.Path, "left over"})
		}
	}
	return list, nil
}

// driftOfError returns the files for which a plan returned a [install.ForeignError]. These are files without the comment
// with which clusterctl marks its files, and links that mask a unit. driftOfError returns every other error unchanged.
func driftOfError(err error) ([]Drift, error) {
	list := []Drift{}
	for _, one := range fault.Flatten(err) {
		foreign, ok := errors.AsType[*install.ForeignError](one)
		if !ok {
			return nil, err
		}
		what := "foreign"
		if foreign.Masked {
			what = "masked"
		}
		list = append(list, Drift{foreign.Path, what})
	}
	return list, nil
}

// suppressedLines returns how many log lines of an app the journal has dropped, or nil if the number is unknown. Users
// other than root get nil instead of 0, because the journal of the machine looks empty to them.
func (c *Collector) suppressedLines(ctx context.Context, app units.App) *int64 {
	n, err := journal.Suppressed(ctx, app.LogNamespace(), func(unit string) bool {
		name, _, err := units.ParseInstance(unit)
		return err == nil && name == app.Name
	})
	if err != nil || n == 0 && !c.Guard.Root {
		return nil
	}
	return &n
}
