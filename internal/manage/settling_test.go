package manage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// TestSettling checks how long a new app must stay up.
func TestSettling(t *testing.T) {
	port := []units.Listener{{Port: 80}}
	for _, c := range []struct {
		about string
		app   units.App
		seen  *ProbeFindings // nil without a probe
		given bool
		want  time.Duration // 0 if the time depends on the instances
	}{
		{"--settle", units.App{}, nil, true, 3 * time.Second},
		{"a background app without a probe", units.App{}, nil, false, 10 * time.Second},
		{"a shorter --min-uptime", units.App{Shim: units.ShimOptions{MinUptime: 2 * time.Second}}, nil, false, 2 * time.Second},
		{"a longer --min-uptime", units.App{Shim: units.ShimOptions{MinUptime: time.Hour}}, nil, false, 10 * time.Second},
		{"a background app that ran in the probe", units.App{}, &ProbeFindings{}, false, 0},
		{"a background app that bound something in the probe", units.App{}, &ProbeFindings{Bound: true}, false, 10 * time.Second},
		{"a listener", units.App{Listen: port}, nil, false, 0},
		{"a program that failed in the probe", units.App{Listen: port}, &ProbeFindings{Failed: true}, false, 10 * time.Second},
		{"a background app that notifies systemd when it is ready", units.App{Ready: units.ReadyNotify}, nil, false, 0},
	} {
		l := newLab(t)
		in := &installation{
			Session: &Session{Manager: l.Manager}, Files: Files{App: c.app},
			o: InstallOptions{Settle: 3 * time.Second, Watch: !c.given, Seen: c.seen},
		}
		got := in.settlingRule()
		if (got.Longer != nil) != (c.want == 0) || c.want > 0 && got.Time != c.want {
			t.Errorf("%s: got %v, want %v (0: the time depends on the instances)", c.about, got.Time, c.want)
		}
	}
}

// TestSettleWatch checks how long an install watches the instances: at least as long as they took to start, and until they
// use little CPU.
func TestSettleWatch(t *testing.T) {
	for _, c := range []struct {
		about string
		start time.Duration // the time until all instances are up
		busy  int           // the number of samples with CPU use
		want  time.Duration
	}{
		{"quiet", 100 * time.Millisecond, 0, time.Second},
		{"slow to start", 4 * time.Second, 0, 4 * time.Second},
		{"slower than the limit", time.Minute, 0, 10 * time.Second},
		{"busy", 0, 5, 3500 * time.Millisecond},
		{"always busy", 0, 1000, 10 * time.Second},
	} {
		l := newLab(t)
		now := time.Unix(1000, 0)
		l.Now = func() time.Time { return now }
		stat := filepath.Join(l.Host.Cgroups, "clusterctl.slice", "clusterctl-web.slice", "web@1.service", "cpu.stat")
		if err := os.MkdirAll(filepath.Dir(stat), 0o755); err != nil {
			t.Fatal(err)
		}
		used := 0
		in := &installation{
			Session: &Session{Manager: l.Manager, Name: "web"},
			Files:   Files{App: units.App{Name: "web", Listen: []units.Listener{{Port: 80}}}},
			o:       InstallOptions{Settle: time.Second, Watch: true},
		}
		s := in.settlingRule()
		now = now.Add(c.start)
		up := now
		for more, samples := s.Time, 0; more > 0; samples++ {
			now = now.Add(more)
			if samples <= c.busy {
				used += 400_000
			}
			if err := os.WriteFile(stat, fmt.Appendf(nil, "usage_usec %d\n", used), 0o600); err != nil {
				t.Fatal(err)
			}
			more = s.Longer([]control.State{{Unit: "web@1.service"}})
		}
		if got := now.Sub(up); got != c.want {
			t.Errorf("%s: got %v, want %v", c.about, got, c.want)
		}
	}
}
