package main

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

// appStatus is one app as "ls" and "show" see it, and as --json prints it (schema 1). What could not be found out, such as
// the connections of an instance without root, is left out.
type appStatus struct {
	Name   units.Name `json:"name"`
	State  string     `json:"state"`
	Ready  int        `json:"ready"`
	Wanted int        `json:"wanted"`
	// Listen are the addresses as --listen takes them; empty for a background app.
	Listen []string `json:"listen"`
	// OwnListen are the addresses on which instances listen by themselves, each for itself.
	OwnListen []string `json:"ownListen,omitempty"`
	// Queue is the accept queue of all listeners together.
	Queue *queueStatus `json:"queue,omitempty"`
	// Connections are those that workers have accepted, on all listeners.
	Connections *int `json:"connections,omitempty"`
	consumption
	Restarts int        `json:"restarts"`
	Since    *time.Time `json:"since,omitempty"`
	// NextRestart is the soonest one of the instances.
	NextRestart *time.Time       `json:"nextRestart,omitempty"`
	Problem     string           `json:"problem,omitempty"`
	Instances   []instanceStatus `json:"instances"`
}

// consumption is what processes use.
type consumption struct {
	// CPU is in percent of one CPU, over the time between two looks.
	CPU *float64 `json:"cpuPercent,omitempty"`
	// Memory is that of the whole cgroup. Source says how it was found: "cgroup", "pss" or "rss".
	Memory *int64 `json:"memoryBytes,omitempty"`
	Source string `json:"memorySource,omitempty"`
}

// queueStatus is an accept queue: how many connections wait in it, and how many it takes.
type queueStatus struct {
	Depth int `json:"depth"`
	Limit int `json:"limit"`
}

// instanceStatus is one worker.
type instanceStatus struct {
	Unit        string `json:"unit"`
	Instance    int    `json:"instance"`
	State       string `json:"state"`
	PID         int    `json:"pid,omitempty"`
	Connections *int   `json:"connections,omitempty"`
	consumption
	Restarts    int        `json:"restarts"`
	Since       *time.Time `json:"since,omitempty"`
	NextRestart *time.Time `json:"nextRestart,omitempty"`
	// Problem is why it does not run, in words.
	Problem string `json:"problem,omitempty"`
	// LastExit is how its last run ended, in words, also when it runs again.
	LastExit string `json:"lastExit,omitempty"`
	// Status is what the worker says of itself (sd_notify, STATUS=).
	Status string `json:"status,omitempty"`
}

// facts are what the kernel and the shim say of an app, beside systemd. The zero value knows nothing.
type facts struct {
	queue       *queueStatus
	listeners   []*queueStatus // of each listener
	unreachable unreachable
	connections *int
	ownListen   []string
	instances   []instanceFacts // in the order of the instances, or none
}

type instanceFacts struct {
	consumption
	connections *int
	runs        *inspect.Runs
}

// unitsOf names the units that make the app's state: the aggregate, its sockets, then its instances.
func unitsOf(a units.App, listed int) []string {
	names := append([]string{a.Name.Service()}, a.Sockets()...)
	for i := 1; i <= listed; i++ {
		names = append(names, a.Name.Instance(i))
	}
	return names
}

// summarise turns the states of unitsOf, and what else is known, into one app's status. It is pure.
func summarise(a units.App, states []control.State, f facts) appStatus {
	s := appStatus{Name: a.Name, Listen: []string{}, Instances: []instanceStatus{}, Queue: f.queue, Connections: f.connections, OwnListen: f.ownListen}
	for _, l := range a.Listen {
		s.Listen = append(s.Listen, l.String())
	}
	sockets := states[1 : 1+len(a.Sockets())]
	for i, st := range states[1+len(sockets):] {
		var known instanceFacts
		if i < len(f.instances) {
			known = f.instances[i]
		}
		one := instanceOf(i+1, st, known)
		if one.State == "masked" && states[0].Active == control.Inactive {
			one.Problem = "" // it is down like the others
		}
		s.count(one)
		s.Instances = append(s.Instances, one)
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
		// The others fail because of it, which their exit status does not say, and which READY hides between two restarts.
		s.Problem = "listens on " + strings.Join(s.OwnListen, " ") + ", each instance for itself; install it with --listen " + s.OwnListen[0]
	}
	problem := f.unreachable.problem(a.Name)
	if !broken {
		s.Problem = cmp.Or(problem, s.Problem)
	}
	s.State = appState(states[0], s, broken)
	if (problem != "" || unheard) && s.State == "running" {
		s.State = "degraded" // every worker is ready, and clients do not reach them
	}
	return s
}

// count adds an instance to the sums.
func (s *appStatus) count(one instanceStatus) {
	if one.State == "skipped" {
		return
	}
	s.Wanted++
	s.Restarts += one.Restarts
	if one.State == "running" {
		s.Ready++
		s.Since = earlier(s.Since, one.Since)
	}
	s.NextRestart = earlier(s.NextRestart, one.NextRestart)
	if s.Problem == "" && one.Problem != "" {
		s.Problem = one.Unit + ": " + one.Problem
	}
	s.consumption.add(one.consumption)
}

// add sums up. What one instance does not tell is missing in the sum, but the source is the weakest of all.
func (u *consumption) add(more consumption) {
	if more.CPU != nil {
		sum := *more.CPU
		if u.CPU != nil {
			sum += *u.CPU
		}
		u.CPU = &sum
	}
	if more.Memory != nil {
		sum := *more.Memory
		if u.Memory != nil {
			sum += *u.Memory
		}
		u.Memory = &sum
		order := []string{"", inspect.FromCgroup, inspect.FromPSS, inspect.FromRSS}
		u.Source = order[max(slices.Index(order, u.Source), slices.Index(order, more.Source))]
	}
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

func instanceOf(number int, st control.State, f instanceFacts) instanceStatus {
	one := instanceStatus{
		Unit: st.Unit, Instance: number, PID: st.MainPID, Restarts: st.Restarts, State: instanceState(st, f.runs),
		Connections: f.connections, consumption: f.consumption,
	}
	if st.Active != control.Inactive && st.Active != control.ActiveFailed {
		// A worker that has ended says nothing any more.
		one.Status = st.StatusText
	}
	if one.Status == "" && f.runs != nil && one.State == "restarting" {
		one.Status = fmt.Sprintf("waiting after %d short runs, the last with %s", f.runs.Failures, f.runs.Status)
	}
	if !st.ActiveSince.IsZero() && st.Up() {
		t := st.ActiveSince
		one.Since = &t
	}
	one.LastExit = control.Explain(st)
	if one.State == "skipped" || one.State == "masked" {
		one.LastExit = ""
	}
	switch {
	case f.runs == nil:
	case one.State == "gave up":
		// systemd knows the status with which the shim gave up, and the shim how the program ended before.
		one.LastExit = cmp.Or(lastRun(*f.runs), one.LastExit)
	case one.LastExit == "" && st.Active != control.Inactive:
		one.LastExit = lastRun(*f.runs)
	}
	switch one.State {
	case "restarting":
		one.NextRestart = nextRestart(st, f.runs)
		one.Problem = one.LastExit
	case "running", "stopped", "skipped", "starting":
	default:
		one.Problem = control.Explain(st)
	}
	return one
}
