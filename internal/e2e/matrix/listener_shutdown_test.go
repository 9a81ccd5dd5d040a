//go:build lab

package matrix

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// shutdownCase describes a run of silence.py, a program that calls shutdown(2) on its listener when it stops.
type shutdownCase struct {
	mode string // how the program waits for connections
	port int
	args []string
}

func (c shutdownCase) String() string { return c.mode }

func shutdownCases() []shutdownCase {
	return []shutdownCase{
		{"accept", 8751, nil},
		{"poll", 8752, nil},
		{"epoll", 8753, nil},
		{"native", 8754, []string{"--listen", "8754", "--activation", "native"}},
	}
}

// TestProgramsThatShutTheListenerDown reloads, restarts and kills workers that call shutdown(2) on the shared listener
// when they stop. The shim must intercept the call in adopted workers, so that no connection is refused. In native
// workers, the call succeeds, and the listener does not listen until the next start, so the test allows refused
// connections.
func TestProgramsThatShutTheListenerDown(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		runConcurrently(t, 4, shutdownCases(), func(t *testing.T, c shutdownCase) { c.run(t, m) })
	})
}

// The method run installs the app, and sends requests while its workers are replaced.
func (c shutdownCase) run(t *testing.T, m *kit.Machine) {
	a := install(t, m, "silence-"+c.mode, 2, c.port,
		append(append([]string{"--env", "MODE=" + c.mode, "--drain-timeout", "5s"}, c.args...), portFlags(c.port, "silence.py")...)...)
	wantAllAnswer(t, a, "/hello", hello)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate / 10, WorkerHeader: bodies})
	for range 3 {
		m.Must(t, "reload", a.Name)
	}
	restartInTurn(t, a, 4)
	r := run.Stop()
	responsesByPID(t, r, hello)
	t.Logf("three reloads and four restarts: %v", r)
	if c.mode != "native" && (r.Failed() > 0 || r.OK == 0) {
		t.Errorf("%d of %d requests failed during reloads and restarts, want 0: %v", r.Failed(), r.Requests, r)
	}
	wantAllAnswer(t, a, "/hello", hello)

	run = load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate / 10, WorkerHeader: bodies})
	awaitReplacement(t, a, 1, func() { kill(t, m, m.MainPID(t, a.Unit(1))) })
	m.Must(t, "restart", a.Name)
	r = run.Stop()
	if c.mode != "native" && (r.Refused > 0 || r.OK == 0) {
		t.Errorf("%d connections were refused after a kill and a restart, want 0: %v", r.Refused, r)
	}
	m.Must(t, "stop", a.Name)
	m.Must(t, "start", a.Name)
	wantAllAnswer(t, a, "/hello", hello)
	if c.mode == "accept" {
		wantNoForcedKill(t, m, a)
	}
}

// wantNoForcedKill fails the test if systemd has killed a worker because its stop timed out. A stop times out if accept
// does not return after another thread of the worker has called shutdown.
func wantNoForcedKill(t testing.TB, m *kit.Machine, a kit.App) {
	t.Helper()
	for i := range a.Instances {
		if j := m.Journal(t, "-u", a.Unit(i+1)); strings.Contains(j, "stop-sigterm") || strings.Contains(j, "timed out") {
			t.Errorf("the stop of %s timed out, want an exit of the worker before the timeout:\n%s", a.Unit(i+1), j)
		}
	}
}
