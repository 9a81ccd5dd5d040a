// Package status collects the state of apps and their instances from systemd, the kernel and the shim. --json prints the
// types of this package (schema 1).
//
// A [Collector] reads the machine. [Summarise] and [Describe] are pure functions.
package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// App is the state of one app. Unknown values are nil, for example Connections if the caller is not root.
type App struct {
	Name   units.Name `json:"name"`
	State  string     `json:"state"`
	Ready  int        `json:"ready"`
	Wanted int        `json:"wanted"`
	// Listen has the addresses in the form of --listen. A background app has no addresses.
	Listen []string `json:"listen"`
	// OwnListen has the addresses that instances have bound themselves, without a shared listener.
	OwnListen []string `json:"ownListen,omitempty"`
	// Queue is the sum of the accept queues of all listeners.
	Queue *Queue `json:"queue,omitempty"`
	// Connections is the number of connections that workers have accepted, on all listeners.
	Connections *int `json:"connections,omitempty"`
	Usage
	Restarts int        `json:"restarts"`
	Since    *time.Time `json:"since,omitempty"`
	// NextRestart is the time of the next restart of any instance, or nil.
	NextRestart *time.Time `json:"nextRestart,omitempty"`
	Problem     string     `json:"problem,omitempty"`
	Instances   []Instance `json:"instances"`
}

// Usage is the CPU time and the memory that processes use.
type Usage struct {
	// CPU is the average CPU use between two measurements, in percent of one CPU.
	CPU *float64 `json:"cpuPercent,omitempty"`
	// Memory is the memory of all processes in the cgroup. Source is the method of this measurement: "cgroup", "pss" or
	// "rss".
	Memory *int64 `json:"memoryBytes,omitempty"`
	Source string `json:"memorySource,omitempty"`
}

// Queue is the state of an accept queue: Depth connections wait, and at most Limit connections can wait.
type Queue struct {
	Depth int `json:"depth"`
	Limit int `json:"limit"`
}

// Instance is one worker.
type Instance struct {
	Unit        string `json:"unit"`
	Instance    int    `json:"instance"`
	State       string `json:"state"`
	PID         int    `json:"pid,omitempty"`
	Connections *int   `json:"connections,omitempty"`
	Usage
	Restarts    int        `json:"restarts"`
	Since       *time.Time `json:"since,omitempty"`
	NextRestart *time.Time `json:"nextRestart,omitempty"`
	// Problem explains why the instance does not run.
	Problem string `json:"problem,omitempty"`
	// LastExit explains how the last process of the instance ended. LastExit stays set when the instance runs again.
	LastExit string `json:"lastExit,omitempty"`
	// Status is the last STATUS= of the worker (sd_notify(3)).
	Status string `json:"status,omitempty"`
}

// Facts has what the kernel and the shim report about an app. In the zero value, everything is unknown.
type Facts struct {
	Queue       *Queue
	Listeners   []*Queue // the accept queue of each listener, or nil
	Unreachable Unreachable
	Connections *int
	OwnListen   []string
	Instances   []InstanceFacts // in the order of the instances, or empty
}

// InstanceFacts has what the kernel and the shim report about one instance.
type InstanceFacts struct {
	Usage
	Connections *int
	Runs        *inspect.Runs
}

// Units returns the names of the units that determine the state of an app: the aggregate (NAME.service, which stands for the
// whole app), then the sockets, then the instances.
func Units(a units.App, listed int) []string {
	names := append([]string{a.Name.Service()}, a.Sockets()...)
	for i := 1; i <= listed; i++ {
		names = append(names, a.Name.Instance(i))
	}
	return names
}

// Summarise returns the state of an app. The states must be in the order of [Units].
func Summarise(a units.App, states []control.State, f Facts) App {
	s := App{
		Name: a.Name, Listen: Addresses(a.Listen), OwnListen: f.OwnListen, Queue: f.Queue, Connections: f.Connections,
		Instances: []Instance{},
	}
	sockets := states[1 : 1+len(a.Sockets())]
	for i, st := range states[1+len(sockets):] {
		var known InstanceFacts
		if i < len(f.Instances) {
			known = f.Instances[i]
		}
		instance := instanceOf(i+1, st, known)
		if instance.State == "masked" && states[0].Active == control.Inactive {
			instance.Problem = "" // the whole app is stopped
		}
		s.count(instance)
		s.Instances = append(s.Instances, instance)
	}
	broken, unheard := false, false
	for _, st := range sockets {
		unheard = unheard || !st.Up()
		switch {
		case st.Active == control.ActiveFailed, st.Load == control.Masked:
			broken = true
			s.Problem = st.Unit + ": " + control.Explain(st)
		case !st.Up() && s.Ready > 0:
			s.Problem = st.Unit + ": it does not listen"
		}
	}
	if len(a.Listen) == 0 && len(s.OwnListen) > 0 && s.Wanted > 1 && (s.Ready < s.Wanted || s.Restarts > 0) {
		// One instance has bound the address, so the other instances fail. The exit status of these instances does not show
		// this cause. An instance that has just restarted counts as ready until it fails again, so the field Restarts is
		// checked, too.
		s.Problem = fmt.Sprintf("listens on %s, each instance for itself; install it with --listen %s",
			strings.Join(s.OwnListen, " "), s.OwnListen[0])
	}
	problem := f.Unreachable.Problem(a.Name)
	if !broken {
		s.Problem = cmp.Or(problem, s.Problem)
	}
	s.State = appState(states[0], s, broken)
	if (problem != "" || unheard) && s.State == "running" {
		s.State = "degraded" // all workers are ready, but clients cannot reach a listener
	}
	return s
}

func (s *App) count(i Instance) {
	if i.State == "skipped" {
		return
	}
	s.Wanted++
	s.Restarts += i.Restarts
	if i.State == "running" {
		s.Ready++
		s.Since = earlier(s.Since, i.Since)
	}
	s.NextRestart = earlier(s.NextRestart, i.NextRestart)
	if s.Problem == "" && i.Problem != "" {
		s.Problem = i.Unit + ": " + i.Problem
	}
	s.Usage.add(i.Usage)
}

// The method add adds the usage of one instance to the sum u. It ignores unknown values. If the sources of the memory
// differ, the sum gets the less exact source.
func (u *Usage) add(more Usage) {
	u.CPU = sumOf(u.CPU, more.CPU)
	if more.Memory != nil {
		u.Memory = sumOf(u.Memory, more.Memory)
		order := []string{"", inspect.FromCgroup, inspect.FromPSS, inspect.FromRSS}
		u.Source = order[max(slices.Index(order, u.Source), slices.Index(order, more.Source))]
	}
}

// sumOf returns the sum of the known values, or nil if neither value is known.
func sumOf[T int64 | float64](a, b *T) *T {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return new(*a + *b)
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

func instanceOf(number int, st control.State, f InstanceFacts) Instance {
	i := Instance{
		Unit: st.Unit, Instance: number, PID: st.MainPID, Restarts: st.Restarts, State: instanceState(st, f.Runs),
		Connections: f.Connections, Usage: f.Usage,
	}
	if st.Active != control.Inactive && st.Active != control.ActiveFailed {
		// The status of an inactive or failed unit is omitted, because the worker that sent this status has ended.
		i.Status = st.StatusText
	}
	if i.Status == "" && f.Runs != nil && i.State == "restarting" {
		i.Status = fmt.Sprintf("waiting after %d short runs, the last with %s", f.Runs.Failures, f.Runs.Status)
	}
	if !st.ActiveSince.IsZero() && st.Up() {
		i.Since = new(st.ActiveSince)
	}
	i.LastExit = control.Explain(st)
	if i.State == "skipped" || i.State == "masked" {
		i.LastExit = ""
	}
	switch {
	case f.Runs == nil:
	case i.State == "gave up":
		// The exit status in systemd is from the shim, which has given up. The records of the shim contain how the program
		// ended.
		i.LastExit = cmp.Or(lastRun(*f.Runs), i.LastExit)
	case i.LastExit == "" && st.Active != control.Inactive:
		i.LastExit = lastRun(*f.Runs)
	}
	switch i.State {
	case "restarting":
		i.NextRestart = nextRestart(st, f.Runs)
		i.Problem = i.LastExit
	case "running", "stopped", "skipped", "starting":
	default:
		i.Problem = control.Explain(st)
	}
	return i
}

func (q *Queue) String() string {
	if q == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", q.Depth, q.Limit)
}
