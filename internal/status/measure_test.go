package status

import (
	"os"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// TestMeter checks that the method mark returns the CPU use since the last mark in percent. The result omits a new cgroup
// with the name of an old one. If the time since the last mark is too short, the method returns the last result.
func TestMeter(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1, 0)
	m := newMeter(inspect.Host{Cgroups: dir}, func() time.Time { return now })
	use := func(text string) {
		t.Helper()
		if err := os.MkdirAll(dir+"/a", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/a/cpu.stat", []byte("usage_usec "+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	states := []control.State{{ControlGroup: "/a"}, {ControlGroup: "/gone"}, {}}
	use("1000000")
	if got := m.mark(states); len(got) != 0 {
		t.Errorf("the first mark: got %v, want nothing", got)
	}
	now = now.Add(2 * time.Second)
	use("1500000")
	if got := m.mark(states); len(got) != 1 || got["/a"] != 25 {
		t.Errorf("after 2 seconds: got %v, want 25", got)
	}
	now = now.Add(time.Millisecond)
	use("9500000")
	if got := m.mark(states); got["/a"] != 25 {
		t.Errorf("a millisecond later: got %v, want the last result", got)
	}
	now = now.Add(time.Second)
	use("10")
	if got := m.mark(states); len(got) != 0 {
		t.Errorf("after a restart: got %v, want nothing", got)
	}
}

// TestMeterBegins checks that the method begin sets marks for the cgroups in which our units put the instances. The method
// covers must return false if another cgroup is in use.
func TestMeterBegins(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1, 0)
	m := newMeter(inspect.Host{Cgroups: dir}, func() time.Time { return now })
	const one = `/clusterctl.slice/clusterctl-my\x2dapp.slice/my-app@1.service`
	use := func(text string) {
		t.Helper()
		if err := os.MkdirAll(dir+one, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+one+"/cpu.stat", []byte("usage_usec "+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	use("1000000")
	m.begin([]Listed{{App: units.App{Name: "my-app"}, Count: 2}})
	states := []control.State{{ControlGroup: one}, {}}
	if !m.hasSameUnits(states) {
		t.Error("covers returns false for the cgroup of our units")
	}
	if m.hasSameUnits(append(states, control.State{ControlGroup: "/elsewhere.slice/my-app@2.service"})) {
		t.Error("covers returns true for a cgroup in another slice")
	}
	now = now.Add(time.Second)
	use("1500000")
	if got := m.mark(states); len(got) != 1 || got[one] != 50 {
		t.Errorf("got %v, want 50", got)
	}
}
