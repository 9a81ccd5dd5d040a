package control

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestTracker passes changes to a tracker, without systemd, and checks the returned error.
func TestTracker(t *testing.T) {
	const a, s, i1, i2 = "shop.service", "shop.socket", "shop@1.service", "shop@2.service"
	up := func(unit string) State { return State{Unit: unit, Load: Loaded, Active: ActiveRunning} }
	starting := func(unit string) State { return State{Unit: unit, Load: Loaded, Active: Activating, JobID: 7} }
	down := func(unit, result string) State {
		return State{Unit: unit, Load: Loaded, Active: ActiveFailed, Result: result, ExecMainCode: 1, ExecMainStatus: 1}
	}
	with := func(s State, f func(*State)) State { f(&s); return s }
	done := Change{done: []Outcome{{Unit: a, Result: Done}}}
	for _, c := range []struct {
		name   string
		before []State // the states of a, s, i1 and i2; nil means that all are down
		events []Change
		want   string // the error, or empty
	}{
		{"all come up", nil, []Change{{State: starting(i1)}, {State: starting(i2)}, {State: up(i1), Ended: Done},
			{State: up(i2), Ended: Done}, done}, ""},
		{"all were up", []State{up(a), up(s), up(i1), up(i2)}, []Change{done}, ""},
		{"an old failure is ignored", []State{{Unit: a}, down(s, "resources"), down(i1, "exit-code"), down(i2, "exit-code")},
			[]Change{{State: with(down(i1, "exit-code"), func(s *State) { s.JobID = 5 })}, {State: up(s), Ended: Done},
				{State: up(i1), Ended: Done}, {State: up(i2), Ended: Done}, done}, ""},
		{"an automatic restart before our job is ignored",
			[]State{{Unit: a}, up(s), with(starting(i1), func(s *State) { s.Sub, s.JobID = "auto-restart", 0 }), up(i2)},
			[]Change{{State: with(starting(i1), func(s *State) { s.Sub, s.Restarts = "start", 4 })},
				{State: with(up(i1), func(s *State) { s.Restarts = 4 }), Ended: Done}, done}, ""},
		{"an instance fails", nil, []Change{{State: starting(i1)}, {State: down(i1, "exit-code"), Ended: Failed}},
			i1 + ": exited with status 1"},
		{"an instance was up and is restarted", nil,
			[]Change{{State: up(i1), Ended: Done}, {State: with(up(i1), func(s *State) { s.Restarts = 1 })}},
			i1 + ": it ended, and systemd has started it again"},
		{"an instance was up and fails", nil, []Change{{State: up(i2), Ended: Done}, {State: down(i2, "exit-code")}},
			i2 + ": exited with status 1"},
		{"the socket fails", nil, []Change{{State: with(down(s, "resources"), func(s *State) { s.Listen = []string{"80"} }),
			Ended: Failed}, {State: State{Unit: i1, Load: Loaded, Active: Inactive}, Ended: Dependency}},
			s + ": 80: it could not listen (is the address in use, or not an address of this machine?)"},
		{"another requirement fails", []State{{Unit: a}, up(s), {Unit: i1}, {Unit: i2}},
			[]Change{{State: State{Unit: i1, Load: Loaded, Active: Inactive}, Ended: Dependency}},
			i1 + ": a required unit has failed"},
		{"canceled", nil, []Change{{State: starting(i1)}, {State: State{Unit: i1, Load: Loaded, Active: Inactive}, Ended: Canceled},
			{done: []Outcome{{Unit: a, Result: Canceled}}}},
			"start of " + a + " was canceled by another job"},
		{"the shim cancels the job, and the start continues", nil, []Change{{State: starting(i1)}, {State: up(i2), Ended: Done},
			{State: with(starting(i1), func(s *State) { s.JobID = 0 }), Ended: Canceled},
			{done: []Outcome{{Unit: i1, Result: Canceled}, {Unit: i2, Result: Done}}}, {State: up(i1)}}, ""},
		{"the shim cancels the job, and the start fails", nil, []Change{{State: starting(i1)}, {State: up(i2), Ended: Done},
			{State: with(starting(i1), func(s *State) { s.JobID = 0 }), Ended: Canceled},
			{done: []Outcome{{Unit: i1, Result: Canceled}, {Unit: i2, Result: Done}}}, {State: down(i1, "exit-code")}},
			i1 + ": exited with status 1"},
		{"the job is merged into a reload", nil, []Change{{State: up(i1), Ended: Done}, {State: up(i2), Ended: Done},
			{State: with(up(a), func(s *State) { s.Active, s.JobID = Reloading, 8 })}}, ""},
		{"refused", nil, []Change{{done: []Outcome{{Unit: a, Err: ErrMasked}}}}, "start of " + a + ": unit is masked"},
		{"an instance finishes", []State{{Unit: a}, up(s), {Unit: i1}, up(i2)},
			[]Change{{State: up(i1), Ended: Done},
				{State: State{Unit: i1, Load: Loaded, Active: Inactive, Result: "success", ExecMainCode: 1}}, done}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newTracker("shop", Start, []int{1, 2}, []string{s}, nil)
				if k.states = c.before; k.states == nil {
					k.states = []State{{Unit: a}, up(s), {Unit: i1}, {Unit: i2}}
				}
				events := make(chan event, len(c.events))
				for _, e := range c.events {
					events <- event{change: e}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				err := k.follow(ctx, events, time.Second)
				if text := fmt.Sprint(err); text != c.want && !(err == nil && c.want == "") {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		})
	}
}

// TestSettling checks that the settle time begins again when an instance goes down. The start ends when all instances have
// been up for the whole settle time.
func TestSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTracker("shop", Restart, []int{1}, nil, nil)
		k.states = []State{{Unit: "shop.service"}, {Unit: "shop@1.service"}}
		events := make(chan event)
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- k.follow(t.Context(), events, 10*time.Second) }()
		is := func(a Active) event {
			return event{change: Change{State: State{Unit: "shop@1.service", Load: Loaded, Active: a}, Ended: Done}}
		}
		events <- is(ActiveRunning)
		events <- event{change: Change{done: []Outcome{{Unit: "shop@1.service", Result: Done}}}}
		time.Sleep(9 * time.Second)
		events <- is(Deactivating)
		time.Sleep(20 * time.Second)
		events <- is(ActiveRunning)
		if err := <-ended; err != nil || time.Since(began) != 39*time.Second {
			t.Errorf("got error %v after %v, want none after 39s", err, time.Since(began))
		}
	})
}

// TestTrackerLimit checks the error for an instance that is not up within the time limit, and the error for an instance that
// has not stopped within the limit.
func TestTrackerLimit(t *testing.T) {
	for active, want := range map[Active]string{
		Deactivating: "shop@1.service: it has not stopped within 5s and is still draining",
		Activating:   "shop@1.service: not up within 5s",
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newTracker("shop", Restart, []int{1}, nil, nil)
			k.limit = 5 * time.Second
			k.states = []State{{Unit: "shop.service"}, {Unit: "shop@1.service", Load: Loaded, Active: active, JobID: 7}}
			began := time.Now()
			if err := k.follow(t.Context(), nil, time.Second); fmt.Sprint(err) != want || time.Since(began) != k.limit {
				t.Errorf("after %v: got %v, want %q", time.Since(began), err, want)
			}
		})
	}
	// Here the instance is up within the limit, and the settle time is longer than the limit.
	synctest.Test(t, func(t *testing.T) {
		k := newTracker("shop", Restart, []int{1}, nil, nil)
		k.limit = 5 * time.Second
		k.states = []State{{Unit: "shop.service"}, {Unit: "shop@1.service", Load: Loaded, Active: ActiveRunning}}
		events := make(chan event, 1)
		events <- event{change: Change{done: []Outcome{{Unit: "shop@1.service", Result: Done}}}}
		if err := k.follow(t.Context(), events, 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	// Here the settle time is extended twice.
	synctest.Test(t, func(t *testing.T) {
		k := newTracker("shop", Start, []int{1}, nil, nil)
		k.states = []State{{Unit: "shop.service"}, {Unit: "shop@1.service", Load: Loaded, Active: ActiveRunning}}
		more := []time.Duration{2 * time.Second, 3 * time.Second, 0}
		k.longer = func(states []State) (d time.Duration) {
			if len(states) != 1 || states[0].Unit != "shop@1.service" {
				t.Errorf("got the states %+v, want the state of shop@1.service", states)
			}
			d, more = more[0], more[1:]
			return d
		}
		events := make(chan event, 1)
		events <- event{change: Change{done: []Outcome{{Unit: "shop.service", Result: Done}}}}
		began := time.Now()
		if err := k.follow(t.Context(), events, time.Second); err != nil || time.Since(began) != 6*time.Second {
			t.Errorf("got error %v after %v, want none after 6s", err, time.Since(began))
		}
	})
}
