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

// sum matches the answer of the example: the sum of the numbers below 100,000,000.
var sum = regexp.MustCompile(`^(\d+): 4999999950000000$`)

// TestCluster2021 runs the popular example of Node's cluster module unchanged, with a master in each instance and without
// masters. Its workers compute, and each exits at some time within 20 seconds. Such an exit costs the requests that the
// worker was serving. No connection may be refused.
//
// With a master, an exit also costs a connection that the master was passing to the worker: the master keeps that
// connection open forever, so its client hangs. Node does the same without clusterctl (with node master.js, 8 of 130
// requests hung in 14 exits).
func TestCluster2021(t *testing.T) {
	t.Parallel()
	// The test uses the CPUs while other tests wait, and it compares the whole machine, so it has a separate machine.
	m := suite().Boot(t, lab.Bookworm)
	before := takeInventory(t, m)
	for _, c := range []struct {
		name, file, death string
		n                 int
		hangs             bool
	}{
		{"c-child", "child.js", "status=1/FAILURE", 2, false},
		{"c-children", "child.js", "status=1/FAILURE", 4, false},
		{"c-master", "master.js", "died with 1", 2, true},
		{"c-masters", "master.js", "died with 1", 4, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A request takes some tenths of a second of CPU time, which is seconds on a busy machine. A worker serves
			// several requests at a time, and the drain waits for all of them. With a master, it would wait forever for the
			// requests that hang.
			timeout, drain := patience.For(time.Minute), "60s"
			if c.hangs {
				timeout, drain = 10*time.Second, "3s"
			}
			a := kit.App{Machine: m, Name: c.name, Instances: c.n, Port: 8080}
			t.Cleanup(func() { a.Uninstall(t) })
			retryWhenOneDies(t, m, append([]string{"install", "cluster-2021/" + c.file, "-i", strconv.Itoa(c.n), "--name", c.name,
				"--drain-timeout", drain}, slowProbe...)...)
			const conns = 4
			// Each answer costs some tenths of a second of CPU time, so a higher rate would only delay everything else.
			run := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: conns, Rate: 6, Timeout: timeout, WorkerHeader: bodies})
			retryWhenOneDies(t, m, "reload", a.Name)
			reports := []load.Report{run.Stop()}
			seen := map[int]int{}
			for range mostBatches {
				r := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: conns, Requests: 4 * c.n, Timeout: timeout,
					WorkerHeader: bodies}).Wait()
				reports = append(reports, r)
				for pid, n := range answers(t, r, sum) {
					seen[instanceOf(a, pid)] += n
				}
				// The PIDs of workers that have exited belong to instance 0.
				if delete(seen, 0); len(seen) == c.n {
					break
				}
			}
			if len(seen) != c.n {
				t.Errorf("not all of the %d instances answered: %v", c.n, seen)
			}
			worst := 0
			for _, r := range reports {
				t.Log(r)
				worst = max(worst, r.Failed())
			}
			// A client notices an exit before the journal has a line about it.
			m.AwaitLines(t, (worst+conns-1)/conns, c.death, "-u", a.Name+"@*")
			deaths := strings.Count(m.Journal(t, "-u", a.Name+"@*", "-o", "cat"), c.death)
			t.Logf("%d deaths in all", deaths)
			for _, r := range reports {
				answers(t, r, sum)
				lost := r.Broken()
				if c.hangs {
					lost += r.Timeouts
				}
				if r.Failed() != lost || r.Failed() > deaths*conns || r.OK == 0 {
					t.Errorf("with %d deaths of workers: %v", deaths, r)
				}
			}
			a.Uninstall(t)
		})
	}
	wantNothingLeft(t, m, before)
}

// retryWhenOneDies runs a command. It runs the command again when one of the app's workers exits before all of them are
// ready. The workers of this example exit at some time within 20 seconds, and may exit at once.
func retryWhenOneDies(t testing.TB, m *kit.Machine, args ...string) {
	t.Helper()
	const tries = 10
	for i := 1; ; i++ {
		r := m.Clusterctl(t, append(args, "--settle", "0s")...)
		if r.Code == 0 {
			return
		}
		if r.Code != 3 || !strings.Contains(r.Stderr, "exited with status 1") || i == tries {
			t.Fatalf("clusterctl %q, %d times: %v", args, i, r)
		}
	}
}
