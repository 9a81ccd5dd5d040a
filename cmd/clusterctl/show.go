package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// schemaVersion is that of everything that --json prints; packaging/schema describes it. Fields are added within a
// version; none is removed, and none changes its meaning.
const schemaVersion = 1

// appDetails is one app as "show --json" prints it (schema 1).
type appDetails struct {
	Schema int `json:"schema"`
	appStatus
	Command   []string `json:"command"`
	Directory string   `json:"directory"`
	RunAs     string   `json:"runAs"`
	Count     string   `json:"count"`
	// PerCPU is how many instances "-i max" would run. Only an install that was given no number has it.
	PerCPU int `json:"perCPU,omitempty"`
	// NewerFiles are read at a start, and have changed since. Only an install that changed nothing has them.
	NewerFiles []string `json:"newerFiles,omitempty"`
	Ready      string   `json:"readiness"`
	Restart    string   `json:"restart"`
	Sandbox    string   `json:"sandbox"`
	Config     string   `json:"config"`
	Slice      string   `json:"slice"`
	// LogRate is how many lines of an instance the journal takes, as --log-rate has it.
	LogRate string `json:"logRate"`
	// Boot says whether the app starts with the machine.
	Boot      bool             `json:"startsAtBoot"`
	Listeners []listenerStatus `json:"listeners"`
	// Balance is how the connections are spread over the instances that run.
	Balance *balance `json:"balance,omitempty"`
	// Limits are those of the slice, the app as a whole.
	Limits *limits `json:"limits,omitempty"`
	background
}

// listenerStatus is one listener.
type listenerStatus struct {
	Listen string `json:"listen"`
	Unit   string `json:"unit"`
	// State is "lost" if systemd listens on a Unix socket, but the file is gone or belongs to another socket.
	State string `json:"state"`
	// Mode, Owner and Group describe the file of a Unix socket. An empty Group means the primary group of Owner.
	Mode  string       `json:"mode,omitempty"`
	Owner string       `json:"owner,omitempty"`
	Group string       `json:"group,omitempty"`
	Queue *queueStatus `json:"queue,omitempty"`
}

// balance: a max/mean of 1 is even.
type balance struct {
	Max     int     `json:"max"`
	Mean    float64 `json:"mean"`
	MaxMean float64 `json:"maxMean"`
}

// limits are absent where there is none.
type limits struct {
	MemoryMax  uint64  `json:"memoryMaxBytes,omitempty"`
	MemoryHigh uint64  `json:"memoryHighBytes,omitempty"`
	TasksMax   uint64  `json:"tasksMax,omitempty"`
	CPUQuota   float64 `json:"cpuQuotaPercent,omitempty"`
}

func showCommand(e *env) *cli.Command {
	var o watchOptions
	var revisions bool
	return &cli.Command{
		Name: "show", Aliases: []string{"describe", "info"}, Usage: "Show all there is to know about apps",
		UsageText: "show " + operandForms + " [--json] [--watch] [--revisions]",
		Description: "What is shown for people and not for --json alone is the same; see clusterctl(1) for each line. Needs no root; " +
			"without it, what only root may see is left out.\n\nEXAMPLE:\n   sudo clusterctl show shop",
		Flags: append(o.flags("an object per app"),
			&cli.BoolFlag{Name: "revisions", Usage: "the states that \"rollback\" can go back to; needs root", Destination: &revisions}),
		Action: func(c *cli.Context) error {
			args, err := operands(c, 1, -1, "the NAME of an app")
			if err != nil {
				return err
			}
			if revisions {
				if len(args) > 1 {
					return fault.WithHint(fault.Usagef("show: --revisions is for one app"), "clusterctl show %s --revisions", args[0])
				}
				return runRevisions(e, args[0], o.asJSON)
			}
			if err := o.check("show"); err != nil {
				return err
			}
			return runShow(c.Context, e, args, o)
		},
	}
}

func runShow(ctx context.Context, e *env, args []string, o watchOptions) error {
	if o.watch {
		look := &examiner{e: e}
		return e.watch(ctx, args, o, true, func(ctx context.Context, conn *control.Conn, l *appList) (view, error) {
			all, err := look.details(ctx, conn, l)
			return view{documents(all), func(w io.Writer) error { return e.printAll(w, all) }}, err
		})
	}
	all, err := e.show(ctx, args)
	if err != nil {
		return err
	}
	if !o.asJSON {
		return e.printAll(e.stdout, all)
	}
	for _, d := range all {
		if err := e.printJSON(d); err != nil {
			return err
		}
	}
	return nil
}

// show returns all there is to know about apps at this moment.
func (e *env) show(ctx context.Context, args []string) ([]appDetails, error) {
	list, err := e.list(args)
	if err != nil {
		return nil, err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	m := e.newMeter()
	m.begin(list.known)
	states, err := conn.States(ctx, list.units())
	if err != nil {
		return nil, err
	}
	if err := e.fill(ctx, m, &list, states); err != nil {
		return nil, err
	}
	look := &examiner{e: e}
	return look.details(ctx, conn, &list)
}

func documents(all []appDetails) []any {
	var docs []any
	for _, d := range all {
		docs = append(docs, d)
	}
	return docs
}

// readyWords says what an instance is waited for.
func readyWords(a units.App) string {
	switch {
	case a.Adopted():
		return "it listens"
	case a.Ready == units.ReadyNotify:
		return "it says READY=1"
	}
	return "it has been executed"
}

// backgroundAge is how long a watch keeps what costs more than a few calls to find out.
const backgroundAge = 10 * time.Second

// examiner finds out what "ls" does not ask for, and remembers it for a while.
type examiner struct {
	e    *env
	at   time.Time
	last map[units.Name]background
	sums map[units.Name]control.State
}

// details puts together what is known of each app.
func (x *examiner) details(ctx context.Context, conn *control.Conn, l *appList) ([]appDetails, error) {
	if x.last == nil || x.e.now().Sub(x.at) > backgroundAge {
		if err := x.refresh(ctx, conn, l); err != nil {
			return nil, err
		}
	}
	var all []appDetails
	for i, a := range l.known {
		all = append(all, x.e.detail(a.app, l.apps[i], l.states[i], l.facts[i], x.sums[a.app.Name], x.last[a.app.Name]))
	}
	return all, nil
}

// detail is pure, but for the paths of the store. slice is the state of the slice.
func (e *env) detail(a units.App, s appStatus, states []control.State, f facts, slice control.State, b background) appDetails {
	d := appDetails{
		Schema: schemaVersion, appStatus: s, Command: a.Command, Directory: a.Directory, RunAs: a.RunAs.String(),
		Count: a.Instances.String(), Ready: readyWords(a), Restart: a.Restart.String(), Sandbox: a.Sandbox.String(),
		Config: e.store.SourcePath(a.Name), Slice: a.Name.Slice(), LogRate: a.LogRate().String(),
		Listeners: []listenerStatus{}, Balance: balanceOf(s.Instances), Limits: limitsOf(slice.Limits), background: b,
	}
	// An app that starts on demand has its sockets enabled instead.
	for _, st := range states[:1+len(a.Sockets())] {
		d.Boot = d.Boot || strings.HasPrefix(st.FileState, "enabled")
	}
	for i, l := range a.Listen {
		unit := socketUnit(a, l)
		one := listenerStatus{Listen: l.String(), Unit: unit, State: "closed"}
		if slices.Contains(a.SocketFiles(), l.Path) {
			access := a.SocketAccess()
			one.Mode, one.Owner, one.Group = units.FormatSocketMode(access.Mode), cmp.Or(access.User, "root"), access.Group
		}
		if i < len(f.listeners) {
			one.Queue = f.listeners[i]
		}
		k := slices.Index(a.Sockets(), unit)
		switch st := states[1+k]; {
		case slices.Contains(f.unreachable.silent, l):
			one.State = "not listening"
		case slices.Contains(f.unreachable.lost, l):
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

// balanceOf is nil where the connections of an instance are not known, or none runs.
func balanceOf(instances []instanceStatus) *balance {
	total, n, b := 0, 0, balance{}
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

func limitsOf(l control.Limits) *limits {
	if l == (control.Limits{}) {
		return nil
	}
	return &limits{l.MemoryMax, l.MemoryHigh, l.TasksMax, 100 * l.CPUQuota.Seconds()}
}

// words for people.
func (l *limits) String() string {
	var parts []string
	bytes := func(what string, n uint64) {
		if n > 0 {
			v := int64(n)
			parts = append(parts, what+" "+size(&v))
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
