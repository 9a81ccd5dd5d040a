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

// Paths of the workers in a machine.
const (
	goWorker = "/opt/e2e/go-worker" // the example for Go
	worker   = "/opt/e2e/worker"    // a worker that reports its arguments and environment
	pyWorker = "/opt/e2e/worker.py" // with asyncio, on fd 3
	nodeFD   = "/opt/e2e/server.js" // the example for Node
	ticker   = "/opt/e2e/ticker.py" // the example without a socket
)

// rate is a load in requests per second. With one request every 5 ms, the machine has time to restart workers while all
// four releases run at the same time. At full speed on two cores, each restart would take many times as long without
// testing more.
const rate = 200

// suite returns the suite of this package. Its machines have the workers in them.
func suite() kit.Suite {
	return kit.Suite{Dir: "/", Equip: copyWorkers}
}

// copyWorkers copies the workers into a machine, but nothing of clusterctl.
func copyWorkers(t testing.TB, m *kit.Machine) {
	t.Helper()
	m.CopyIn(t, lab.Build(t, "./packaging/examples/go-worker"), goWorker)
	m.CopyIn(t, lab.Build(t, "./internal/e2e/worker"), worker)
	m.CopyIn(t, "testdata/worker.py", pyWorker)
	m.CopyIn(t, "../../packaging/examples/node-fd/server.js", nodeFD)
	m.CopyIn(t, "../../packaging/examples/background/worker.py", ticker)
}

// startLoads starts to send requests to an app on new connections and on kept connections at the same time.
func startLoads(t testing.TB, a kit.App) kit.Loads {
	t.Helper()
	return kit.StartLoads(t, a.Machine, load.Options{URL: a.URL("/"), Conns: 4, Rate: rate})
}

// awaitListening waits until every worker polls the listener. It is for programs whose start only means that they were
// executed.
func awaitListening(t testing.TB, a kit.App) {
	t.Helper()
	for _, u := range a.Units() {
		a.Machine.AwaitJournal(t, "listening", "_PID="+fmt.Sprint(a.Machine.MainPID(t, u)))
	}
}
