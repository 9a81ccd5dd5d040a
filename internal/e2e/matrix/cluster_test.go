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

// sum is the answer of the example: the sum of the numbers below 100,000,000.
var sum = regexp.MustCompile(`^(\d+): 4999999950000000$`)

// TestCluster2021: the example of Node's cluster module that people copy, as it is, with its master in each instance and
// without it. Its workers compute, and die at some moment within 20 seconds: such a death costs the requests that the worker
// was serving, and no connection is ever refused.
//
// With the master it also costs a connection that the master was handing over: the master keeps it open forever, so its
// client hangs. Node itself does the same (node master.js without us: 8 of 130 requests hung, 14 deaths).
func TestCluster2021(t *testing.T) {
	t.Parallel()
	// The test computes while others wait, and compares the whole machine, so it has a separate machine.
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
			// A request computes for some tenth of a second of CPU, which on a busy machine is seconds, and a worker serves
			// several at a time: the drain waits for all of them. With a master it would wait forever for the hung ones.
			timeout, drain := patience.For(time.Minute), "60s"
			if c.hangs {
				timeout, drain = 10*time.Second, "3s"
			}
			a := kit.App{Machine: m, Name: c.name, Instances: c.n, Port: 8080}
			t.Cleanup(func() { a.Uninstall(t) })
			retryWhenOneDies(t, m, append([]string{"install", "cluster-2021/" + c.file, "-i", strconv.Itoa(c.n), "--name", c.name,
				"--drain-timeout", drain}, slowProbe...)...)
			const conns = 4
			// An answer costs a worker some tenth of a second of CPU; more of them would only keep all else waiting.
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
				// A worker that has died is in no instance.
				if delete(seen, 0); len(seen) == c.n {
					break
				}
			}
			if len(seen) != c.n {
				t.Errorf("not all of the %d instances answer: %v", c.n, seen)
			}
			worst := 0
			for _, r := range reports {
				t.Log(r)
				worst = max(worst, r.Failed())
			}
			// A client notices a death before the journal has a line of it.
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

// retryWhenOneDies runs a command that fails, and says why, when one of its workers dies before all of them are ready. These
// do, at some moment within 20 seconds, so it is run again then; and they need not stay alive for any time at all.
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
