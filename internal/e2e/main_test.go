//go:build lab

package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
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

// These are the paths of the workers in a machine.
const (
	goWorker = "/opt/e2e/go-worker" // packaging/examples/go-worker
	worker   = "/opt/e2e/worker"    // a Go worker whose response to GET /about contains its arguments and environment
	pyWorker = "/opt/e2e/worker.py" // a worker with asyncio that uses the listener at file descriptor 3
	nodeFD   = "/opt/e2e/server.js" // packaging/examples/node-fd
	ticker   = "/opt/e2e/ticker.py" // packaging/examples/background, a worker without a socket
)

// rate is the number of requests per second in most tests. The tests of four releases run at the same time. At full
// speed, the requests would use all CPUs, and each restart of a worker would take many times as long.
const rate = 200

// suite returns the suite of this package, which copies the workers into its machines.
func suite() kit.Suite {
	return kit.Suite{Dir: "/", Equip: copyWorkers}
}

// copyWorkers copies the workers into a machine, but not clusterctl.
func copyWorkers(t testing.TB, m *kit.Machine) {
	t.Helper()
	m.CopyIn(t, lab.Build(t, "./packaging/examples/go-worker"), goWorker)
	m.CopyIn(t, lab.Build(t, "./internal/e2e/worker"), worker)
	m.CopyIn(t, "testdata/worker.py", pyWorker)
	m.CopyIn(t, "../../packaging/examples/node-fd/server.js", nodeFD)
	m.CopyIn(t, "../../packaging/examples/background/worker.py", ticker)
}

// startLoads starts to send requests to an app. One load uses a new connection for each request, and the other load keeps
// its connections open.
func startLoads(t testing.TB, a kit.App) kit.Loads {
	t.Helper()
	return kit.StartLoads(t, a.Machine, load.Options{URL: a.URL("/"), Conns: 4, Rate: rate})
}

// awaitListening waits until every worker has logged "listening". systemd reports a worker without READY=1 as running
// before the worker listens.
func awaitListening(t testing.TB, a kit.App) {
	t.Helper()
	for _, u := range a.Units() {
		a.Machine.AwaitJournal(t, "listening", "_PID="+fmt.Sprint(a.Machine.MainPID(t, u)))
	}
}
