//go:build lab

package matrix

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// The expression sum matches the responses of the example, which contain the PID and the sum of the numbers below
// 100,000,000.
var sum = regexp.MustCompile(`^(\d+): 4999999950000000$`)

// TestCluster2021 runs a popular example of Node's cluster module unchanged: master.js, which forks workers in each
// instance, and child.js, a worker without a master. Each worker exits at a random time within 20 seconds, and its
// accepted requests are lost. No other request may fail. With a master, a request may also time out: if a worker exits
// while the master passes a connection to this worker, the master never closes the connection. Such requests also time
// out without clusterctl (8 of 130 requests in a run of "node master.js" with 14 exits).
func TestCluster2021(t *testing.T) {
	t.Parallel()
	// The test compares inventories of the whole machine while other tests run on the shared machine, so it needs its own
	// machine.
	m := suite().Boot(t, lab.Bookworm)
	before := takeInventory(t, m)
	for _, c := range []struct {
		name, file, exit string
		n                int
		hangs            bool // some requests time out
	}{
		{"c-child", "child.js", "status=1/FAILURE", 2, false},
		{"c-children", "child.js", "status=1/FAILURE", 4, false},
		{"c-master", "master.js", "died with 1", 2, true},
		{"c-masters", "master.js", "died with 1", 4, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A request needs some tenths of a second of CPU time, and several seconds on a busy machine. A drain waits
			// for all requests of a worker. With a master, some requests never end, so the drain has a short timeout.
			timeout, drain := patience.For(time.Minute), "60s"
			if c.hangs {
				timeout, drain = 10*time.Second, "3s"
			}
			a := kit.App{Machine: m, Name: c.name, Instances: c.n, Port: 8080}
			t.Cleanup(func() { a.Uninstall(t) })
			retryAfterExit(t, m, append([]string{"install", "cluster-2021/" + c.file, "-i", strconv.Itoa(c.n),
				"--name", c.name, "--drain-timeout", drain}, slowProbe...)...)
			const conns = 4
			// The rate is low, because each request needs some tenths of a second of CPU time.
			run := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: conns, Rate: 6, Timeout: timeout, WorkerHeader: bodies})
			retryAfterExit(t, m, "reload", a.Name)
			reports := []load.Report{run.Stop()}
			seen := map[int]int{}
			for range mostBatches {
				r := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: conns, Requests: 4 * c.n, Timeout: timeout,
					WorkerHeader: bodies}).Wait()
				reports = append(reports, r)
				for pid, n := range responsesByPID(t, r, sum) {
					seen[instanceOf(a, pid)] += n
				}
				// instanceOf returns 0 for workers that have exited.
				if delete(seen, 0); len(seen) == c.n {
					break
				}
			}
			if len(seen) != c.n {
				t.Errorf("want responses of %d instances, got the responses per instance %v", c.n, seen)
			}
			worst := 0
			for _, r := range reports {
				t.Log(r)
				worst = max(worst, r.Failed())
			}
			// The journal may contain the line about an exit later than the client notices the exit.
			m.AwaitLines(t, (worst+conns-1)/conns, c.exit, "-u", a.Name+"@*")
			exits := strings.Count(m.Journal(t, "-u", a.Name+"@*", "-o", "cat"), c.exit)
			t.Logf("%d workers have exited", exits)
			for _, r := range reports {
				responsesByPID(t, r, sum)
				lost := r.Broken()
				if c.hangs {
					lost += r.Timeouts
				}
				if r.Failed() != lost || r.Failed() > exits*conns || r.OK == 0 {
					t.Errorf("%d workers have exited: want at most %d failed requests, all of them accepted: %v",
						exits, exits*conns, r)
				}
			}
			a.Uninstall(t)
		})
	}
	wantInventory(t, m, before)
}

// retryAfterExit runs clusterctl. If clusterctl fails because a worker of the example has exited, retryAfterExit runs it
// again, up to ten times.
func retryAfterExit(t testing.TB, m *kit.Machine, args ...string) {
	t.Helper()
	const tries = 10
	for i := 1; ; i++ {
		r := m.Clusterctl(t, append(args, "--settle", "0s")...)
		if r.Code == 0 {
			return
		}
		if r.Code != 3 || !strings.Contains(r.Stderr, "exited with status 1") || i == tries {
			t.Fatalf("run %d of clusterctl %q failed: %v", i, args, r)
		}
	}
}
