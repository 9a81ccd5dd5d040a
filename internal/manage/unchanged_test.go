package manage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
)

// TestUnchanged checks which error stateError returns for an unchanged app, and which of its instances must be watched.
func TestUnchanged(t *testing.T) {
	now := time.Unix(1000, 0)
	ago := func(d time.Duration) *time.Time { t := now.Add(-d); return &t }
	short := &inspect.Runs{Failures: 2}
	instance := func(i int, state string, since *time.Time) status.Instance {
		return status.Instance{Unit: units.Name("web").Instance(i), Instance: i, State: state, Since: since}
	}
	for _, c := range []struct {
		what      string
		instances []status.Instance
		runs      *inspect.Runs // the records of the first instance
		problem   string
		once      bool // --restart no
		starts    bool
		err       string
		watch     []int
		wait      time.Duration
	}{
		{
			what: "all run",
			instances: []status.Instance{
				instance(1, "running", ago(time.Hour)), instance(2, "running", ago(time.Second)), instance(3, "skipped", nil),
			},
		},
		{
			what: "a problem", instances: []status.Instance{instance(1, "restarting", nil)}, problem: "web@1.service: exited 1",
			err: "web: 0/1 ready: web@1.service: exited 1", watch: []int{1}, wait: time.Second,
		},
		{
			what: "one is starting", instances: []status.Instance{instance(1, "running", ago(time.Hour)), instance(2, "starting", nil)},
			watch: []int{2}, wait: time.Second,
		},
		{
			what: "one is stopped", instances: []status.Instance{instance(1, "stopped", nil)},
			err: "web: 0/1 ready: web@1.service is stopped", watch: []int{1}, wait: time.Second,
		},
		{
			what: "one is stopped, and will be started", instances: []status.Instance{instance(1, "stopped", nil)}, starts: true,
			watch: []int{1}, wait: time.Second,
		},
		{what: "one has exited, without a restart", instances: []status.Instance{instance(1, "stopped", nil)}, once: true},
		{
			what: "short runs before this one", instances: []status.Instance{instance(1, "running", ago(3*time.Second))}, runs: short,
			watch: []int{1}, wait: 7 * time.Second,
		},
		{what: "short runs long ago", instances: []status.Instance{instance(1, "running", ago(11*time.Second))}, runs: short},
	} {
		a := units.App{Name: "web"}
		if c.once {
			a.Restart = units.RestartNo
		}
		s := status.App{Name: "web", Problem: c.problem}
		for _, i := range c.instances {
			if i.State != "skipped" {
				s.Wanted++
			}
			if i.State == "running" {
				s.Ready++
			}
		}
		s.Instances = c.instances
		f := status.Facts{Instances: []status.InstanceFacts{{Runs: c.runs}}}
		got := ""
		if err := stateError(s, a, c.starts); err != nil {
			got = err.Error()
		}
		watch, wait := instancesToWatch(s, a, f, time.Second, now)
		if got != c.err || cmp.Diff(watch, c.watch) != "" || wait != c.wait {
			t.Errorf("%s: got error %q, watched instances %v for %v, want %q, %v for %v",
				c.what, got, watch, wait, c.err, c.watch, c.wait)
		}
	}
}
