//go:build lab

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

func TestMain(m *testing.M) {
	if n := os.Getenv(tracerEnv); n != "" {
		if err := runTracer(os.Args[1:], n); err != nil {
			fmt.Fprintln(os.Stderr, "tracer:", err)
			os.Exit(1)
		}
		return
	}
	lab.Main(m)
}

// Where things are in a machine.
const (
	ctl      = kit.Ctl
	shim     = kit.Shim
	goWorker = "/opt/e2e/go-worker" // the example that people copy
	worker   = "/opt/e2e/worker"    // our own, which tells what it was given
	pyWorker = "/opt/e2e/worker.py" // asyncio, on fd 3
	nodeFD   = "/opt/e2e/server.js" // the example in Node
	ticker   = "/opt/e2e/ticker.py" // the example without a socket
)

// rate is a load, in requests per second, that leaves the machine some time to restart what is under it, with the four
// releases beside one another: every 5 ms a request. At full speed each restart takes many times as long on two cores, and
// shows nothing more.
const rate = 200

// onAll runs a test on each of the four releases, one after the other: for load at full speed, which would disturb others.
func onAll(t *testing.T, f func(t *testing.T, m *lab.Machine)) {
	t.Helper()
	on(t, lab.All(), f)
}

// on runs a test on some releases, one after the other.
func on(t *testing.T, releases []lab.Release, f func(t *testing.T, m *lab.Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) { f(t, machine(t, r)) })
	}
}

// onAllAtOnce runs a test on the four releases at the same time: for tests that mostly wait. Tests still come one after
// the other on each machine.
func onAllAtOnce(t *testing.T, f func(t *testing.T, m *lab.Machine)) {
	t.Helper()
	for _, r := range lab.All() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			f(t, machine(t, r))
		})
	}
}

// onAllTogether is onAllAtOnce at the same time as other tests like it, when all others are through: for tests that wait most
// of the time, and look at nothing but their own apps and files.
func onAllTogether(t *testing.T, f func(t *testing.T, m *lab.Machine)) {
	t.Helper()
	t.Parallel()
	onAllAtOnce(t, f)
}

// alone runs a test on a machine of its own, at the same time as others like it, when those that share machines are through:
// for tests on one release that mostly wait.
func alone(t *testing.T, r lab.Release, f func(t *testing.T, m *lab.Machine)) {
	t.Helper()
	t.Parallel()
	t.Run(string(r), func(t *testing.T) {
		m := lab.Boot(t, r)
		equip(t, m)
		f(t, m)
	})
}

// machine gives the shared machine of a release, with clusterctl and the workers in it.
func machine(t testing.TB, r lab.Release) *lab.Machine {
	t.Helper()
	m := lab.Shared(t, r)
	equip(t, m)
	return m
}

// equip puts clusterctl and the workers into a machine, once.
func equip(t testing.TB, m *lab.Machine) {
	t.Helper()
	m.Equip(func() {
		kit.CopyIn(t, m)
		equipWorkers(t, m)
	})
}

// equipWorkers puts the workers, and nothing of clusterctl, into a machine.
func equipWorkers(t testing.TB, m *lab.Machine) {
	t.Helper()
	m.CopyIn(t, lab.Build(t, "./packaging/examples/go-worker"), goWorker)
	m.CopyIn(t, lab.Build(t, "./internal/e2e/worker"), worker)
	m.CopyIn(t, "testdata/worker.py", pyWorker)
	m.CopyIn(t, "../../packaging/examples/node-fd/server.js", nodeFD)
	m.CopyIn(t, "../../packaging/examples/background/worker.py", ticker)
}

// run runs clusterctl in the root directory of the machine.
func run(t testing.TB, m *lab.Machine, args ...string) lab.Result {
	t.Helper()
	return kit.Run(t, m, "/", args...)
}

// must runs clusterctl as run does, and ends the test when it fails.
func must(t testing.TB, m *lab.Machine, args ...string) lab.Result {
	t.Helper()
	return kit.Must(t, m, "/", args...)
}

// lines splits output into its lines that are not empty.
func lines(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
}
