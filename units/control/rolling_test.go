package control

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestRollBegin checks which instances a reload replaces, in which order, and which instances it skips.
func TestRollBegin(t *testing.T) {
	up := State{Load: Loaded, Active: ActiveRunning, MainPID: 7}
	failed := State{Load: Loaded, Active: ActiveFailed, Result: "exit-code"}
	again := State{Load: Loaded, Active: ActiveRunning, Restarts: 3, ActiveSince: time.Now()}
	restored := State{Load: Loaded, Active: ActiveRunning, Restarts: 3, ActiveSince: time.Now().Add(-time.Hour)}
	waiting := State{Load: Loaded, Active: Activating, Sub: "auto-restart"}
	stopped := State{Load: Loaded, Active: Inactive, ConditionResult: true, ConditionSince: wallclock(1)}
	skipped := State{Load: Loaded, Active: Inactive, ConditionSince: wallclock(1)}
	starting := State{Load: Loaded, Active: Inactive, JobID: 3}
	masked := State{Load: Masked, Active: Inactive}
	maskedUp := State{Load: Masked, Active: ActiveRunning, MainPID: 7}
	broken := State{Load: BadSetting, Active: Inactive}
	for _, c := range []struct {
		name    string
		states  []State
		todo    []int
		skipped int
		failing int // the number of the instance in the error, or 0
	}{
		{"all run", []State{up, up, up}, []int{1, 2, 3}, 0, 0},
		{"instances that are down come first", []State{up, failed, up, waiting, starting}, []int{2, 4, 5, 1, 3}, 0, 0},
		{"an instance that was just restarted comes first", []State{up, restored, again}, []int{3, 1, 2}, 0, 0},
		{"stopped instances are skipped", []State{up, stopped, skipped, up, masked}, []int{1, 4}, 3, 0},
		{"all are stopped", []State{stopped, stopped}, nil, 2, 0},
		{"a masked instance runs", []State{up, maskedUp, up}, nil, 0, 2},
		{"a unit cannot be loaded", []State{stopped, broken, up}, nil, 1, 2},
		{"no instances", nil, nil, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reported int
			r := &roll{name: "shop", progress: func(p Progress) {
				if p.Phase == SkippedByReload && p.Reason != "" {
					reported++
				}
			}}
			var instances []int
			for i := range c.states {
				instances = append(instances, i+1)
				c.states[i].Unit = r.name.Instance(i + 1)
			}
			err := r.begin(instances, c.states)
			var failed *InstanceError
			switch {
			case c.failing == 0 && err != nil:
				t.Error(err)
			case c.failing > 0 && (!errors.As(err, &failed) || failed.Instance != c.failing || failed.Reason == ""):
				t.Errorf("got %v, want an error of instance %d", err, c.failing)
			}
			if d := cmp.Diff(c.todo, r.todo); d != "" {
				t.Errorf("the instances to replace (-want +got):\n%s", d)
			}
			n := 0
			for i, one := range r.out {
				if one.Instance != instances[i] || one.Unit != r.name.Instance(one.Instance) {
					t.Errorf("result %d is %+v, want instance %d", i, one, instances[i])
				}
				if one.Outcome == RollSkipped {
					n++
				}
			}
			if len(r.out) != len(c.states) || n != c.skipped || err == nil && reported != n {
				t.Errorf("got %d skipped of %d instances, %d reported, want %d:\n%+v", n, len(r.out), reported, c.skipped, r.out)
			}
		})
	}
}

// TestRollObserve checks the outcome of each instance after the progress of its step.
func TestRollObserve(t *testing.T) {
	r := &roll{name: "shop", progress: func(Progress) {}}
	up := State{Load: Loaded, Active: ActiveRunning}
	down := State{Load: Loaded, Active: ActiveFailed}
	if err := r.begin([]int{1, 2, 3, 4, 5, 6, 7}, []State{up, down, up, up, up, up, up}); err != nil {
		t.Fatal(err)
	}
	observe := func(instance int, phase Phase, s State, reason string) {
		r.observe(Progress{Unit: r.name.Instance(instance), Instance: instance, Phase: phase, State: s, Reason: reason})
	}
	observe(2, Starting, State{}, "")
	observe(2, Ready, up, "")
	observe(1, Stopping, State{}, "")
	observe(1, Starting, State{}, "")
	observe(1, Ready, up, "")
	observe(3, Stopping, State{}, "")
	observe(3, Broken, State{}, "exited with status 3")
	observe(4, Stopping, State{}, "")
	observe(9, Ready, State{}, "") // an extra instance
	observe(7, Stopping, State{}, "")
	r.recordKill(Killed{Unit: r.name.Instance(7), Op: Stop})
	observe(7, Starting, State{}, "")
	observe(7, Ready, up, "")
	conflict := &RefusedError{Unit: r.name.Instance(5), Op: Restart, Err: ErrConflict, Job: "stop"}
	if err := r.failStep(step{Restart, []int{4, 5}}, conflict); !errors.Is(err, ErrConflict) {
		t.Error(err)
	}
	want := []string{
		"reloaded: ", "started: ", "failed: exited with status 3", "failed: it was not up when the reload ended",
		"untouched: restart of shop@5.service: another command has queued a stop, which clusterctl does not cancel", "untouched: ",
		"reloaded: did not end by itself; killed (SIGKILL)",
	}
	var got []string
	for _, one := range r.out {
		got = append(got, one.Outcome.String()+": "+one.Reason)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
	if err := r.failStep(step{Start, []int{8}}, &InstanceError{Unit: r.name.Instance(8), Instance: 8}); err == nil ||
		!errors.As(err, new(*InstanceError)) {
		t.Errorf("got %v for an extra instance, want an InstanceError", err)
	}
}

func TestRollSteps(t *testing.T) {
	for _, c := range []struct {
		instances           []int
		above, batch, surge int
		want                []step
	}{
		{nil, 3, 1, 1, nil},
		{[]int{1, 2, 3}, 3, 1, 0, []step{{Restart, []int{1}}, {Restart, []int{2}}, {Restart, []int{3}}}},
		{[]int{1, 2, 3}, 3, 0, 0, []step{{Restart, []int{1}}, {Restart, []int{2}}, {Restart, []int{3}}}},
		{[]int{1, 2, 3}, 3, 2, 1, []step{{Start, []int{4}}, {Restart, []int{1, 2}}, {Restart, []int{3}}, {Stop, []int{4}}}},
		{[]int{2, 9, 4}, 12, 9, 2, []step{{Start, []int{13, 14}}, {Restart, []int{2, 9, 4}}, {Stop, []int{13, 14}}}},
	} {
		if d := cmp.Diff(c.want, rollSteps(c.instances, c.above, c.batch, c.surge)); d != "" {
			t.Errorf("instances %v, batch %d, surge %d (-want +got):\n%s", c.instances, c.batch, c.surge, d)
		}
	}
}

// TestRollInvariants checks the steps of a reload: each instance is restarted once, in order, and at most batch instances at
// the same time. If batch <= surge, the number of running instances does not fall.
func TestRollInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		batch, surge := rapid.IntRange(-1, 50).Draw(t, "batch"), rapid.IntRange(-1, 5).Draw(t, "surge")
		var instances []int
		for i := range n {
			instances = append(instances, i+1)
		}
		running, restarted := n, 0
		for _, s := range rollSteps(instances, n, batch, surge) {
			switch s.Op {
			case Start:
				running += len(s.Instances)
			case Stop:
				running -= len(s.Instances)
			case Restart:
				if len(s.Instances) > max(batch, 1) {
					t.Fatalf("a step restarts %d instances, want at most %d", len(s.Instances), max(batch, 1))
				}
				if max(batch, 1) <= surge && running-len(s.Instances) < n {
					t.Fatalf("%d instances run during a step, want %d", running-len(s.Instances), n)
				}
				for _, i := range s.Instances {
					if restarted++; i != restarted {
						t.Fatalf("got a restart of instance %d, want instance %d", i, restarted)
					}
				}
			}
		}
		if restarted != n || running != n {
			t.Fatalf("%d instances were restarted and %d run at the end, want %d", restarted, running, n)
		}
	})
}
