package status

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

func ptr[T any](v T) *T { return &v }

// These functions return states as systemd reports them.
func up(pid int, since int64, restarts int) control.State {
	return control.State{Load: control.Loaded, Active: control.ActiveRunning, Sub: "running", Result: "success",
		MainPID: pid, Restarts: restarts, ActiveSince: time.Unix(since, 0), StatusText: "ready"}
}

func restartingState(status int) control.State {
	return control.State{Load: control.Loaded, Active: control.Activating, Sub: "auto-restart", Result: "exit-code",
		ExecMainCode: 1, ExecMainStatus: status, Restarts: 3, StatusText: "dead"}
}

func failedState(status int) control.State {
	return control.State{Load: control.Loaded, Active: control.ActiveFailed, Sub: "failed", Result: "exit-code",
		ExecMainCode: 1, ExecMainStatus: status, StatusText: "old"}
}

func inactive() control.State {
	return control.State{Load: control.Loaded, Active: control.Inactive, Sub: "dead", Result: "success", StatusText: "old"}
}

func skippedState() control.State {
	s := inactive()
	s.ConditionSince = time.Unix(1, 0)
	return s
}

func maskedState() control.State {
	s := inactive()
	s.Load = control.Masked
	return s
}

func finishedState() control.State {
	s := inactive()
	s.ExecMainCode = 1
	return s
}

func stateIn(active control.Active) control.State {
	return control.State{Load: control.Loaded, Active: active, Result: "success"}
}

func TestInstanceState(t *testing.T) {
	for want, states := range map[string][]control.State{
		"running":    {up(1, 1, 0), stateIn(control.Reloading), stateIn(control.Refreshing)},
		"restarting": {restartingState(1), {Active: control.Activating, Sub: "auto-restart-queued"}},
		"starting":   {stateIn(control.Activating)},
		"stopping":   {stateIn(control.Deactivating)},
		"failed":     {failedState(1), {Active: control.ActiveFailed, Result: "signal", ExecMainStatus: contract.StatusGaveUp}},
		"gave up":    {failedState(contract.StatusGaveUp)},
		"skipped":    {skippedState()},
		"stopped": {inactive(), {}, {Load: control.NotFound, Active: control.Inactive},
			{Active: control.ActiveFailed, Result: "signal", PreCode: 2, PreStatus: 15}},
	} {
		for _, s := range states {
			if got := instanceState(s, nil); got != want {
				t.Errorf("%+v: got %s, want %s", s, got, want)
			}
		}
	}
}

func TestSummarise(t *testing.T) {
	socket := []units.Listener{{Port: 8080}, {Name: "admin", Port: 9000}}
	active, dead := stateIn(control.ActiveRunning), stateIn(control.Inactive)
	brokenSocket := control.State{Load: control.Loaded, Active: control.ActiveFailed, Result: "resources", Listen: []string{"[::]:8080"}}
	for _, c := range []struct {
		about         string
		aggregate     control.State
		sockets       []control.State
		instances     []control.State
		state         string
		ready, wanted int
		problem       string
	}{
		{"all run", active, nil, []control.State{up(10, 50, 1), up(11, 40, 2)}, "running", 2, 2, ""},
		{"above the number of CPUs", active, nil, []control.State{up(10, 50, 0), skippedState(), skippedState()}, "running", 1, 1, ""},
		{"one crashes", active, nil, []control.State{up(10, 50, 0), restartingState(7)}, "degraded", 1, 2,
			"web@2.service: exited with status 7"},
		{"all crash", active, nil, []control.State{restartingState(1), restartingState(2)}, "restarting", 0, 2,
			"web@1.service: exited with status 1"},
		{"stopped", dead, []control.State{dead, dead}, []control.State{inactive(), inactive()}, "stopped", 0, 2, ""},
		{"starting", stateIn(control.Activating), []control.State{active, active}, []control.State{stateIn(control.Activating)},
			"starting", 0, 1, ""},
		{"half started", stateIn(control.Activating), nil, []control.State{up(1, 1, 0), stateIn(control.Activating)}, "degraded", 1, 2, ""},
		{"stopping", stateIn(control.Deactivating), nil, []control.State{stateIn(control.Deactivating)}, "stopping", 0, 1, ""},
		{"finished", active, nil, []control.State{finishedState(), finishedState()}, "stopped", 0, 2, ""},
		{"all gave up", active, nil, []control.State{failedState(contract.StatusGaveUp), failedState(contract.StatusGaveUp)},
			"gave up", 0, 2, "web@1.service: "},
		{"one gave up", active, nil, []control.State{failedState(contract.StatusGaveUp), up(3, 9, 0)}, "degraded", 1, 2, "web@1.service: "},
		{"the port is taken", dead, []control.State{active, brokenSocket}, []control.State{inactive()}, "failed", 0,
			1, "web-admin.socket: it could not listen"},
		{"one is masked", active, nil, []control.State{maskedState(), up(3, 9, 0)}, "degraded", 1, 2, "web@1.service: it is masked"},
		{"all are masked", active, nil, []control.State{maskedState(), maskedState()}, "failed", 0, 2, "web@1.service: it is masked"},
		{"stopped, and one is masked", dead, nil, []control.State{inactive(), maskedState()}, "stopped", 0, 2, ""},
		{"one is skipped, the others crash", active, nil, []control.State{restartingState(1), skippedState()}, "restarting", 0, 1,
			"web@1.service: exited with status 1"},
		{"gave up, and one is skipped", active, nil, []control.State{failedState(contract.StatusGaveUp), skippedState()}, "gave up",
			0, 1, "web@1.service: "},
		{"all start again", active, nil, []control.State{stateIn(control.Activating)}, "starting", 0, 1, ""},
		{"a user stopped the socket", active, []control.State{dead, active}, []control.State{up(1, 1, 0)},
			"degraded", 1, 1, "web.socket: it does not listen"},
		{"stopped while a worker failed", dead, nil, []control.State{failedState(1), inactive()}, "stopped", 0, 2,
			"web@1.service: exited with status 1"},
	} {
		t.Run(c.about, func(t *testing.T) {
			a := units.App{Name: "web"}
			if c.sockets != nil {
				a.Listen = socket
			}
			states := slices.Concat([]control.State{c.aggregate}, c.sockets, c.instances)
			for i, unit := range Units(a, len(c.instances)) {
				states[i].Unit = unit
			}
			s := Summarise(a, states, Facts{})
			if s.State != c.state || s.Ready != c.ready || s.Wanted != c.wanted || !strings.HasPrefix(s.Problem, c.problem) ||
				c.problem == "" && s.Problem != "" {
				t.Errorf("got %+v", s)
			}
			if len(s.Instances) != len(c.instances) {
				t.Errorf("got %d instances, want %d", len(s.Instances), len(c.instances))
			}
			for _, i := range s.Instances {
				// Status must be empty if the worker has ended.
				if (i.Status == "ready") != (i.State == "running" && i.PID > 0) && i.State != "starting" &&
					i.State != "stopping" && i.State != "restarting" {
					t.Errorf("got %+v", i)
				}
				if i.State == "running" && i.Problem != "" {
					t.Errorf("got %+v", i)
				}
			}
			data, err := json.Marshal(s)
			if err != nil || strings.Contains(string(data), "null") {
				t.Errorf("got %s, error %v", data, err)
			}
		})
	}
	s := Summarise(units.App{Name: "web"}, []control.State{active, up(10, 50, 1), up(11, 40, 2)}, Facts{})
	if s.Restarts != 3 || s.Since == nil || s.Since.Unix() != 40 || s.Instances[1].PID != 11 || s.Instances[1].Instance != 2 {
		t.Errorf("got %+v, want 3 restarts since 40", s)
	}
	if s := Summarise(units.App{Name: "web", Listen: socket}, []control.State{active, active, active},
		Facts{}); strings.Join(s.Listen, " ") != "8080 admin=9000" {
		t.Errorf("got the listeners %q", s.Listen)
	}
}

// TestWords checks the text for a state.
func TestWords(t *testing.T) {
	now := time.Unix(1000, 0)
	for want, s := range map[string]App{
		"degraded 3/4":        {State: "degraded", Ready: 3, Wanted: 4},
		"running":             {State: "running", Ready: 4, Wanted: 4},
		"restarting":          {State: "restarting"},
		"restarting in 2 s":   {State: "restarting", NextRestart: ptr(now.Add(1200 * time.Millisecond))},
		"restarting in 30 s":  {State: "restarting", NextRestart: ptr(now.Add(30 * time.Second))},
		"restarting in 0.3 s": {State: "restarting", NextRestart: ptr(now.Add(300 * time.Millisecond))},
		"restarting in 0.1 s": {State: "restarting", NextRestart: ptr(now.Add(time.Millisecond))},
		"failed":              {State: "failed", NextRestart: ptr(now.Add(time.Hour))},
	} {
		if got := s.Words(now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := (App{State: "restarting", NextRestart: &now}).Words(now.Add(time.Second)); got != "restarting" {
		t.Errorf("after the time of the restart: got %q, want restarting", got)
	}
}

// TestInstance checks the state of an instance, which depends on its unit and on the records of the shim.
func TestInstance(t *testing.T) {
	now := time.Unix(1000, 0)
	due := &inspect.Runs{Failures: 3, Next: now.Add(time.Second), Uptime: 2 * time.Second, Result: "exit-code", Status: "exited/1"}
	auto := restartingState(7)
	auto.StateSince, auto.RestartDelay = now, 5*time.Second
	delayed := stateIn(control.Activating)
	delayed.Sub, delayed.Restarts = "start-pre", 2
	first := stateIn(control.Activating)
	first.Sub = "start-pre"
	adopted := stateIn(control.Activating)
	adopted.Sub = "start"
	announced := adopted
	announced.Restarts, announced.StatusText = 4, "waiting 337ms after 5 short runs, the last with exited/1"
	started := *due
	started.Next = time.Time{}
	masked := up(5, 1, 0)
	masked.Load = control.Masked
	for _, c := range []struct {
		about         string
		st            control.State
		runs          *inspect.Runs
		state         string
		next          time.Duration // -1 means none
		exit, problem string
	}{
		{"RestartSec=", auto, nil, "restarting", 5 * time.Second, "exited with status 7", "exited with status 7"},
		{"RestartSec= is longer than the delay of the shim", auto, due, "restarting", 5 * time.Second,
			"exited with status 7", "exited with status 7"},
		{"delayed before the program", delayed, due, "restarting", time.Second, "exited with status 1 after 2.0s",
			"exited with status 1 after 2.0s"},
		{"delayed, without facts of the shim", delayed, nil, "restarting", -1, "", ""},
		{"delayed by the launcher", adopted, due, "restarting", time.Second, "exited with status 1 after 2.0s",
			"exited with status 1 after 2.0s"},
		{"delayed by the launcher, without facts of the shim", announced, nil, "restarting", -1, "", ""},
		{"the first start", first, nil, "starting", -1, "", ""},
		{"a slow first start", adopted, &inspect.Runs{}, "starting", -1, "", ""},
		{"a slow restart", adopted, &started, "starting", -1, "exited with status 1 after 2.0s", ""},
		{"runs again", up(5, 900, 3), &started, "running", -1, "exited with status 1 after 2.0s", ""},
		{"masked while it runs", masked, nil, "running", -1, "it is masked", ""},
		{"stopped by a user", inactive(), due, "stopped", -1, "", ""},
		{"gave up", failedState(contract.StatusGaveUp), &inspect.Runs{GaveUp: true}, "gave up", -1,
			control.Explain(failedState(contract.StatusGaveUp)), control.Explain(failedState(contract.StatusGaveUp))},
		{
			"gave up after recorded runs", failedState(contract.StatusGaveUp),
			&inspect.Runs{GaveUp: true, Result: "exit-code", Status: "exited/7", Uptime: 2 * time.Second}, "gave up", -1,
			"exited with status 7 after 2.0s", control.Explain(failedState(contract.StatusGaveUp)),
		},
	} {
		got := instanceOf(1, c.st, InstanceFacts{Runs: c.runs})
		next := time.Duration(-1)
		if got.NextRestart != nil {
			next = got.NextRestart.Sub(now)
		}
		if got.State != c.state || next != c.next || got.LastExit != c.exit || got.Problem != c.problem {
			t.Errorf("%s: got %+v, next restart in %v, want %s, %v, exit %q, problem %q",
				c.about, got, next, c.state, c.next, c.exit, c.problem)
		}
	}
}

func TestBalance(t *testing.T) {
	one := func(state string, n *int) Instance { return Instance{State: state, Connections: n} }
	for _, c := range []struct {
		in   []Instance
		want *Balance
	}{
		{nil, nil},
		{[]Instance{one("stopped", nil)}, nil},
		{[]Instance{one("running", ptr(1)), one("running", nil)}, nil},
		{[]Instance{one("running", ptr(0)), one("running", ptr(0))}, &Balance{0, 0, 1}},
		{[]Instance{one("running", ptr(6)), one("running", ptr(2)), one("failed", nil)}, &Balance{6, 4, 1.5}},
	} {
		if got := balanceOf(c.in); (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%+v: got %+v, want %+v", c.in, got, c.want)
		}
	}
}

// TestUsageSum checks that a sum gets the least exact of the added sources.
func TestUsageSum(t *testing.T) {
	var sum Usage
	for _, source := range []string{inspect.FromCgroup, inspect.FromRSS, inspect.FromPSS} {
		sum.add(Usage{Memory: ptr(int64(5)), Source: source})
	}
	sum.add(Usage{CPU: ptr(1.5)})
	if *sum.Memory != 15 || sum.Source != inspect.FromRSS || *sum.CPU != 1.5 {
		t.Errorf("got %+v", sum)
	}
}

// TestOwnListeners checks the problem of an app whose instances bind addresses themselves.
func TestOwnListeners(t *testing.T) {
	own := Facts{OwnListen: []string{"3000", "127.0.0.1:9229"}}
	active := stateIn(control.ActiveRunning)
	status := func(a units.App, f Facts, instances ...control.State) App {
		states := slices.Concat([]control.State{active}, instances)
		if len(a.Listen) > 0 {
			states = slices.Concat([]control.State{active, active}, instances)
		}
		return Summarise(a, states, f)
	}
	s := status(units.App{Name: "web"}, own, up(1, 1, 0), restartingState(1))
	if want := "listens on 3000 127.0.0.1:9229, each instance for itself; install it with --listen 3000"; s.Problem != want {
		t.Errorf("got the problem %q, want %q", s.Problem, want)
	}
	if s := status(units.App{Name: "web"}, own, up(1, 1, 0), up(2, 1, 3)); s.Problem == "" {
		t.Errorf("after a restart of one instance: got %+v", s)
	}
	// There is no problem if all instances run without a restart (SO_REUSEPORT), or if the app has one instance.
	for _, s := range []App{
		status(units.App{Name: "web"}, own, up(1, 1, 0), up(2, 1, 0)), status(units.App{Name: "web"}, own, up(1, 1, 0)),
	} {
		if s.Problem != "" || s.State != "running" {
			t.Errorf("got %+v", s)
		}
	}
	shared := status(units.App{Name: "web", Listen: []units.Listener{{Port: 80}}}, own, up(1, 1, 0), restartingState(1))
	if strings.HasPrefix(shared.Problem, "listens") {
		t.Errorf("got %+v", shared)
	}
}
