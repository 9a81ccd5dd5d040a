//go:build lab

package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/units"
	"golang.org/x/sys/unix"
)

// TestStatesInOneRoundTrip reads the states of three apps with twenty instances each. The test checks that States sends one
// call for each unit and one call for the jobs, all before the first reply.
func TestStatesInOneRoundTrip(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, _ *Conn) {
		w := new(wire)
		c := guest(t, m, w)
		var names []string
		all := make(map[string]string)
		for _, a := range []string{"one", "two", "three"} {
			all["read-"+a+"@.service"] = "[Service]\nExecStart=/bin/sleep 1000\n"
			for i := range 20 {
				names = append(names, fmt.Sprintf("read-%s@%d.service", a, i+1))
			}
		}
		files(t, m, c, all)
		// Replies arrive only after all calls are sent. If States waited for a reply before its last call, it would wait
		// forever.
		w.holdReplies(len(names) + 1)
		ss := states(t, c, names...)
		sent := w.sent()
		if len(sent) != len(names)+1 || sent[0] != "ListUnitsByNames" {
			t.Errorf("got %d calls, want %d: %v", len(sent), len(names)+1, sent)
		}
		for _, member := range sent[1:] {
			if member != "GetAll" {
				t.Errorf("unexpected call of %s", member)
			}
		}
		for i, s := range ss {
			if s.Unit != names[i] || s.Load != Loaded || s.Active != Inactive {
				t.Errorf("got the state %+v, want %s, loaded and inactive", s, names[i])
			}
		}
	})
}

// TestManyUnits checks that the states of 200 units can be read, although the bus limits the number of calls that wait for a
// reply.
func TestManyUnits(t *testing.T) {
	onReleases(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		files(t, m, c, map[string]string{"many@.service": "[Service]\nExecStart=/bin/sleep 1000\n"})
		var names []string
		for i := range 200 {
			names = append(names, fmt.Sprintf("many@%d.service", i+1))
		}
		out, err := c.Do(boundedContext(t), TryRestart, Replace, names...)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			if o.Err != nil || o.Result != Done {
				t.Fatalf("got the outcome %+v, want done", o)
			}
		}
		for _, s := range states(t, c, names...) {
			if s.Load != Loaded || s.Active != Inactive {
				t.Fatalf("got the state %+v, want loaded and inactive", s)
			}
		}
	}, lab.Bookworm)
}

func TestStatesOfMissingUnits(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		ss := states(t, c, "never-was@1.service", "dbus.socket", "never-was.slice", `a\x2db.slice`)
		if ss[0].Load != NotFound || ss[0].Active != Inactive || Explain(ss[0]) != "there is no such unit" {
			t.Errorf("got the state %+v, want not found", ss[0])
		}
		if !ss[1].Up() || !slices.Equal(ss[1].Listen, []string{"/run/dbus/system_bus_socket"}) {
			t.Errorf("got the state %+v, want a listening socket", ss[1])
		}
		if ss[2].Active != Inactive || ss[3].Active != Inactive {
			t.Errorf("got the states %+v\n%+v, want inactive", ss[2], ss[3])
		}
		if none, err := c.States(boundedContext(t), nil); err != nil || none != nil {
			t.Errorf("got the states %v, error %v without units, want none", none, err)
		}
	})
}

// TestWatchCrashLoop requests a restart of a unit that keeps crashing. The test checks that the watch does not report the
// end of an earlier automatic restart as the end of the requested one.
func TestWatchCrashLoop(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		const unit = "looping@1.service"
		files(t, m, c, map[string]string{
			"looping@.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\n" +
				"Restart=always\nRestartSec=100ms\n" +
				"ExecStart=/bin/sh -c 'test -e /run/looping-good || exit 3; systemd-notify --ready; exec sleep 1000'\n",
		})
		w, err := c.Watch(boundedContext(t), []string{unit})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := c.Do(boundedContext(t), Start, Replace, unit); err != nil {
			t.Fatal(err)
		}
		awaitState(t, c, unit, func(s State) bool { return s.Restarts > 1 })
		m.Sh(t, "touch /run/looping-good")
		t.Cleanup(func() { m.Sh(t, "systemctl stop "+unit+"; rm /run/looping-good") })
		if err := w.enqueue(boundedContext(t), Restart, Replace, []string{unit}); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			change, err := w.Next(boundedContext(t))
			if err != nil {
				t.Fatal(err)
			}
			if change.Ended == Failed {
				t.Errorf("the watch reports a failed job: %+v", change.State)
			}
			if done = change.done != nil; done && change.done[0].Result != Done {
				t.Errorf("got the outcomes %+v, want done", change.done)
			}
		}
		if s := states(t, c, unit)[0]; !s.Up() {
			t.Errorf("got the state %+v, want active", s)
		}
	})
}

func TestWatchReportsCrash(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		files(t, m, c, map[string]string{
			"crash@.service": "[Service]\nType=exec\nExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=100ms\n",
		})
		w, err := c.Watch(boundedContext(t), []string{"crash@1.service", "crash@2.service"})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := c.Do(boundedContext(t), Start, Replace, "crash@2.service", "crash@1.service"); err != nil {
			t.Fatal(err)
		}
		next := func(what string, is func(Change) bool) State {
			t.Helper()
			for {
				change, err := w.Next(boundedContext(t))
				if err != nil {
					t.Fatalf("waiting for %s: %v", what, err)
				}
				if is(change) {
					return change.State
				}
			}
		}
		next("the end of a job", func(c Change) bool { return c.State.Unit == "crash@1.service" && c.Ended == Done && c.State.Up() })
		if err := c.Kill(boundedContext(t), "crash@1.service", unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s := next("the delay before the restart", func(c Change) bool { return c.State.WaitsForRestart() })
		if s.Unit != "crash@1.service" || Explain(s) != "killed by SIGKILL" || s.MainPID != 0 {
			t.Errorf("got the state %+v, want killed by SIGKILL", s)
		}
		s = next("the restart", func(c Change) bool { return c.State.Up() })
		if s.Unit != "crash@1.service" || s.Restarts != 1 || s.MainPID == 0 {
			t.Errorf("got the state %+v, want active after one restart", s)
		}
		if _, err := c.Do(boundedContext(t), Stop, Replace, "crash@2.service", "crash@1.service"); err != nil {
			t.Fatal(err)
		}
		next("the stop", func(c Change) bool { return c.State.Unit == "crash@2.service" && c.State.Active == Inactive })
	})
}

// TestStartJobEndsAtFirstFailure checks for every version of systemd that a start job fails when the first run fails,
// although the unit has Restart=always.
func TestStartJobEndsAtFirstFailure(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		files(t, m, c, map[string]string{
			"loop.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nExecStart=/bin/false\n" +
				"Restart=always\nRestartSec=100ms\n",
		})
		out, err := c.Do(boundedContext(t), Start, Replace, "loop.service")
		if err != nil || out[0].Result != Failed {
			t.Errorf("got the outcomes %+v, error %v, want failed", out, err)
		}
		if s := states(t, c, "loop.service")[0]; s.Active != Activating {
			t.Errorf("got the state %+v, want activating", s)
		}
		if out, err := c.Do(boundedContext(t), Stop, Replace, "loop.service"); err != nil || out[0].Result != Done {
			t.Errorf("got the outcomes %+v, error %v, want done", out, err)
		}
	})
}

func TestCPUs(t *testing.T) {
	onAll(t, func(t *testing.T, m *lab.Machine, c *Conn) {
		free, err := c.CPUs(boundedContext(t), units.Name("sized-app").Slice())
		if err != nil || free.Affinity < 1 {
			t.Fatalf("got %+v, error %v, want at least one CPU", free, err)
		}
		// Write drop-ins for slices that systemd has not loaded: the slice of the app, the slice of all apps, and another
		// slice.
		slice := units.Name("sized-app").Slice()
		files(t, m, c, map[string]string{
			slice + ".d/50-quota.conf":            "[Slice]\nCPUQuota=150%\nAllowedCPUs=0\n",
			"clusterctl.slice.d/50-quota.conf":    "[Slice]\nCPUQuota=70%\n",
			"clusterctl-y.slice.d/50-nobody.conf": "[Slice]\nCPUQuota=1%\n",
		})
		got, err := c.CPUs(boundedContext(t), slice)
		if err != nil || got.Quota != 0.7 || got.Affinity != free.Affinity {
			t.Errorf("got %+v, error %v, want the quota 0.7", got, err)
		}
		if free.Affinity > 1 && got.Cpuset != 1 {
			t.Errorf("got %+v, want a cpuset of 1 CPU", got)
		}
		if n, why := got.Limit(); n != 1 || !strings.Contains(why, "1 CPU") && !strings.Contains(why, "70%") {
			t.Errorf("got the limit %d, reason %q, want 1", n, why)
		}
	})
}
