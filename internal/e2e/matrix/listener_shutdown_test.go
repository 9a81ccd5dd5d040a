//go:build lab

package matrix

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// silencer is a program that shuts its listener down when it stops. The mode is the way in which it waits for connections.
type silencer struct {
	mode string
	port int
	args []string
}

func (s silencer) String() string { return s.mode }

func silencers() []silencer {
	return []silencer{
		{"accept", 8751, nil},
		{"poll", 8752, nil},
		{"epoll", 8753, nil},
		{"native", 8754, []string{"--listen", "8754", "--activation", "native"}},
	}
}

// TestProgramsThatShutTheListenerDown: workers shut the shared listener down (shutdown(2)) when they stop. Under load, an
// adopted app never refuses a connection, however its workers end. A native worker does shut the listener down, and root
// listens again at once, so the test does not limit the refused connections of native workers.
func TestProgramsThatShutTheListenerDown(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		runConcurrently(t, 4, silencers(), func(t *testing.T, s silencer) { testSilencer(t, m, s) })
	})
}

func testSilencer(t *testing.T, m *kit.Machine, s silencer) {
	a := install(t, m, "silence-"+s.mode, 2, s.port,
		append(append([]string{"--env", "MODE=" + s.mode, "--drain-timeout", "5s"}, s.args...), portFlags(s.port, "silence.py")...)...)
	wantAllAnswer(t, a, "/hello", hello)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate / 10, WorkerHeader: bodies})
	for range 3 {
		m.Must(t, "reload", a.Name)
	}
	restartInTurn(t, a, 4)
	r := run.Stop()
	answers(t, r, hello)
	t.Logf("three reloads and four restarts: %v", r)
	if s.mode != "native" && (r.Failed() > 0 || r.OK == 0) {
		t.Errorf("requests failed in reloads and restarts: %v", r)
	}
	wantAllAnswer(t, a, "/hello", hello)

	run = load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate / 10, WorkerHeader: bodies})
	awaitReplacement(t, a, 1, func() { kill(t, m, m.MainPID(t, a.Unit(1))) })
	m.Must(t, "restart", a.Name)
	r = run.Stop()
	if s.mode != "native" && (r.Refused > 0 || r.OK == 0) {
		t.Errorf("requests failed after one worker was killed and all were restarted: %v", r)
	}
	m.Must(t, "stop", a.Name)
	m.Must(t, "start", a.Name)
	wantAllAnswer(t, a, "/hello", hello)
	if s.mode == "accept" {
		wantNoForcedKill(t, m, a)
	}
}

// wantNoForcedKill fails the test when systemd had to kill a worker that was waiting in accept while another thread shut
// the listener down.
func wantNoForcedKill(t testing.TB, m *kit.Machine, a kit.App) {
	t.Helper()
	for i := range a.Instances {
		if j := m.Journal(t, "-u", a.Unit(i+1)); strings.Contains(j, "stop-sigterm") || strings.Contains(j, "timed out") {
			t.Errorf("a worker did not end by itself:\n%s", j)
		}
	}
}
