// Package status collects what systemd, the kernel and the shim know about apps and their instances. --json prints its
// types (schema 1).
//
// [Collector] reads the machine. [Summarise] and [Describe] are pure functions.
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

// App is the state of one app. It omits values that are unknown, such as the connections of an instance without root.
type App struct {
	Name   units.Name `json:"name"`
	State  string     `json:"state"`
	Ready  int        `json:"ready"`
	Wanted int        `json:"wanted"`
	// Listen are the addresses in the form of --listen. It is empty for a background app.
	Listen []string `json:"listen"`
	// OwnListen are the addresses of listeners that the instances opened themselves, instead of sharing one.
	OwnListen []string `json:"ownListen,omitempty"`
	// Queue is the sum of the accept queues of all listeners.
	Queue *Queue `json:"queue,omitempty"`
	// Connections is the number of connections that workers have accepted, on all listeners.
	Connections *int `json:"connections,omitempty"`
	Usage
	Restarts int        `json:"restarts"`
	Since    *time.Time `json:"since,omitempty"`
	// NextRestart is the earliest NextRestart of the instances.
	NextRestart *time.Time `json:"nextRestart,omitempty"`
	Problem     string     `json:"problem,omitempty"`
	Instances   []Instance `json:"instances"`
}

// Usage is the CPU time and the memory that processes use.
type Usage struct {
	// CPU is in percent of one CPU, averaged over the time between two measurements.
	CPU *float64 `json:"cpuPercent,omitempty"`
	// Memory is the memory of the whole cgroup. Source is how it was measured: "cgroup", "pss" or "rss".
	Memory *int64 `json:"memoryBytes,omitempty"`
	Source string `json:"memorySource,omitempty"`
}

// Queue is an accept queue: Depth connections wait in it, and it takes at most Limit connections.
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
	// LastExit explains how the last run ended, even if the instance runs again.
	LastExit string `json:"lastExit,omitempty"`
	// Status is the last STATUS= of the worker (sd_notify(3)).
	Status string `json:"status,omitempty"`
}

// Facts are what the kernel and the shim know about an app. The zero value contains no facts.
type Facts struct {
	Queue       *Queue
	Listeners   []*Queue // one for each listener
	Unreachable Unreachable
	Connections *int
	OwnListen   []string
	Instances   []InstanceFacts // in the order of the instances, or none
}

// InstanceFacts are what the kernel and the shim know about one instance.
type InstanceFacts struct {
	Usage
	Connections *int
	Runs        *inspect.Runs
}

// Units returns the names of the units that determine the state of an app: the aggregate, its sockets, then its instances.
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
		// One instance has the address, so the others fail. Their exit status does not show that cause. Between two
		// restarts, even Ready does not show the failure.
		s.Problem = fmt.Sprintf("listens on %s, each instance for itself; install it with --listen %s",
			strings.Join(s.OwnListen, " "), s.OwnListen[0])
	}
	problem := f.Unreachable.Problem(a.Name)
	if !broken {
		s.Problem = cmp.Or(problem, s.Problem)
	}
	s.State = appState(states[0], s, broken)
	if (problem != "" || unheard) && s.State == "running" {
		s.State = "degraded" // all workers are ready, but clients cannot reach them
	}
	return s
}

// count adds an instance to the totals of the app.
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

// add adds the usage of one instance, except for unknown values. The source of the sum is the least exact one.
func (u *Usage) add(more Usage) {
	u.CPU = sumOf(u.CPU, more.CPU)
	if more.Memory != nil {
		u.Memory = sumOf(u.Memory, more.Memory)
		order := []string{"", inspect.FromCgroup, inspect.FromPSS, inspect.FromRSS}
		u.Source = order[max(slices.Index(order, u.Source), slices.Index(order, more.Source))]
	}
}

// sumOf returns the sum of the known values, or nil if neither is known.
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
		// systemd keeps the last status of a worker that has ended, so this status is only for other states.
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
		// systemd knows the exit status of the shim that gave up. The shim knows how the program ended before.
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
