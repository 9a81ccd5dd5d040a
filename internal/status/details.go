package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// SchemaVersion is the version of everything that --json prints, which packaging/schema describes. A field that is removed
// or gets another meaning needs a new version. A new field does not need a new version.
const SchemaVersion = 1

// Details has all information about one app, as "show --json" prints it.
type Details struct {
	Schema int `json:"schema"`
	App
	Command   []string `json:"command"`
	Directory string   `json:"directory"`
	RunAs     string   `json:"runAs"`
	Count     string   `json:"count"`
	// PerCPU is the number of instances that "-i max" would run. Only an install without --instances sets PerCPU.
	PerCPU int `json:"perCPU,omitempty"`
	// NewerFiles has the files that have changed since an instance started. The instance has not read the changes, because
	// it reads these files only at its start. Only an install that changed nothing sets NewerFiles.
	NewerFiles []string `json:"newerFiles,omitempty"`
	Ready      string   `json:"readiness"`
	Restart    string   `json:"restart"`
	Sandbox    string   `json:"sandbox"`
	Config     string   `json:"config"`
	Slice      string   `json:"slice"`
	// LogRate limits how many lines of an instance the journal accepts, in the form of --log-rate.
	LogRate string `json:"logRate"`
	// Boot reports whether the app starts at boot.
	Boot      bool       `json:"startsAtBoot"`
	Listeners []Listener `json:"listeners"`
	// Balance describes how the connections are distributed over the running instances.
	Balance *Balance `json:"balance,omitempty"`
	// The field Limits has the limits of the slice, which apply to all processes of the app together.
	Limits *Limits `json:"limits,omitempty"`
	Audit
}

// Listener is the state of one listener.
type Listener struct {
	Listen string `json:"listen"`
	Unit   string `json:"unit"`
	// State is "lost" if systemd listens on a Unix socket whose file was removed or belongs to another socket.
	State string `json:"state"`
	// Mode, Owner and Group describe the file of a Unix socket. An empty Group means the primary group of Owner.
	Mode  string `json:"mode,omitempty"`
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	Queue *Queue `json:"queue,omitempty"`
}

// Balance describes how connections are distributed over instances. MaxMean is Max divided by Mean, so 1 means that all
// instances have the same number.
type Balance struct {
	Max     int     `json:"max"`
	Mean    float64 `json:"mean"`
	MaxMean float64 `json:"maxMean"`
}

// Limits has the limits of a slice. A limit that is not set is absent.
type Limits struct {
	MemoryMax  uint64  `json:"memoryMaxBytes,omitempty"`
	MemoryHigh uint64  `json:"memoryHighBytes,omitempty"`
	TasksMax   uint64  `json:"tasksMax,omitempty"`
	CPUQuota   float64 `json:"cpuQuotaPercent,omitempty"`
}

// Details returns the details of each app of a list. [Collector.Collect] must have collected the list.
func (c *Collector) Details(ctx context.Context, l *List) ([]Details, error) {
	if c.audits == nil || c.Now().Sub(c.audited) > auditAge {
		if err := c.audit(ctx, l); err != nil {
			return nil, err
		}
	}
	var all []Details
	for i, a := range l.Known {
		n := a.App.Name
		all = append(all, Describe(a.App, l.Apps[i], l.States[i], l.Facts[i], c.slices[n], c.audits[n], c.Store.SourcePath(n)))
	}
	return all, nil
}

// readyWords returns a text with the condition for which a start of an instance waits.
func readyWords(a units.App) string {
	switch {
	case a.Adopted():
		return "it listens"
	case a.Ready == units.ReadyNotify:
		return "it says READY=1"
	}
	return "it has been executed"
}

// Describe returns the details of an app. The parameter s is the result of Summarise for the states and the facts f. The
// parameter slice is the state of the app's slice, and the parameter source is the path of the app's description.
func Describe(a units.App, s App, states []control.State, f Facts, slice control.State, b Audit, source string) Details {
	d := Details{
		Schema: SchemaVersion, App: s, Command: a.Command, Directory: a.Directory, RunAs: a.RunAs.String(),
		Count: a.Instances.String(), Ready: readyWords(a), Restart: a.Restart.String(), Sandbox: a.Sandbox.String(),
		Config: source, Slice: a.Name.Slice(), LogRate: a.LogRate().String(),
		Listeners: []Listener{}, Balance: balanceOf(s.Instances), Limits: limitsOf(slice.Limits), Audit: b,
	}
	// If an app starts on demand, only its sockets are enabled.
	for _, st := range states[:1+len(a.Sockets())] {
		d.Boot = d.Boot || strings.HasPrefix(st.FileState, "enabled")
	}
	for i, l := range a.Listen {
		unit := a.SocketUnit(l)
		one := Listener{Listen: l.String(), Unit: unit, State: "closed"}
		if slices.Contains(a.SocketFiles(), l.Path) {
			access := a.SocketAccess()
			one.Mode, one.Owner, one.Group = units.FormatSocketMode(access.Mode), cmp.Or(access.User, "root"), access.Group
		}
		if i < len(f.Listeners) {
			one.Queue = f.Listeners[i]
		}
		k := slices.Index(a.Sockets(), unit)
		switch st := states[1+k]; {
		case slices.Contains(f.Unreachable.ShutDown, l):
			one.State = "not listening"
		case slices.Contains(f.Unreachable.FileGone, l):
			one.State = "lost"
		case st.Up():
			one.State = "listening"
		case st.Active == control.ActiveFailed:
			one.State = "failed"
		case st.Load == control.Masked:
			one.State = "masked"
		}
		d.Listeners = append(d.Listeners, one)
	}
	return d
}

// balanceOf returns the balance of the running instances. balanceOf returns nil if no instance runs, or if the number of
// connections of an instance is unknown.
func balanceOf(instances []Instance) *Balance {
	total, n, b := 0, 0, Balance{}
	for _, i := range instances {
		if i.State != "running" {
			continue
		}
		if i.Connections == nil {
			return nil
		}
		n++
		total += *i.Connections
		b.Max = max(b.Max, *i.Connections)
	}
	if n == 0 {
		return nil
	}
	b.Mean, b.MaxMean = float64(total)/float64(n), 1
	if total > 0 {
		b.MaxMean = float64(b.Max) / b.Mean
	}
	return &b
}

func limitsOf(l control.Limits) *Limits {
	if l == (control.Limits{}) {
		return nil
	}
	return &Limits{l.MemoryMax, l.MemoryHigh, l.TasksMax, 100 * l.CPUQuota.Seconds()}
}

func (l *Limits) String() string {
	var parts []string
	bytes := func(what string, n uint64) {
		if n > 0 {
			parts = append(parts, what+" "+text.Size(int64(n)))
		}
	}
	if l == nil {
		return "none"
	}
	bytes("memory", l.MemoryMax)
	bytes("memory slowed down at", l.MemoryHigh)
	if l.CPUQuota > 0 {
		parts = append(parts, fmt.Sprintf("cpu %.0f%%", l.CPUQuota))
	}
	if l.TasksMax > 0 {
		parts = append(parts, fmt.Sprintf("%d tasks", l.TasksMax))
	}
	return strings.Join(parts, ", ")
}
