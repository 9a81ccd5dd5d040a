//go:build lab

package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// slowProbe contains the flag --probe-timeout with a value that is long enough on a busy machine.
var slowProbe = []string{"--probe-timeout", "2m"}

// The function install installs an app with a long probe timeout and --settle 100ms, and uninstalls the app at the end
// of the test. The parameter args contains additional flags and the program.
func install(t testing.TB, m *kit.Machine, name string, instances, port int, args ...string) kit.App {
	t.Helper()
	return kit.Install(t, m, name, instances, port, slices.Concat([]string{"--settle", "100ms"}, slowProbe, args)...)
}

// The constant bodies is a value for load.Options.WorkerHeader. It is the name of a header that no program sends. If a
// response does not have this header, package load counts the response by its body.
const bodies = "X-None"

// The expression hello matches the responses of the programs in testdata.
var hello = regexp.MustCompile(`^hello from /hello by (\d+)$`)

// responsesByPID returns the number of responses of each process. The report must be of a load with the option
// "WorkerHeader: bodies". If a response does not match want, the test fails.
func responsesByPID(t testing.TB, r load.Report, want *regexp.Regexp) map[int]int {
	t.Helper()
	by := map[int]int{}
	for body, n := range r.Workers {
		m := want.FindStringSubmatch(body)
		if m == nil {
			t.Errorf("%d responses are %q, want %v", n, body, want)
			continue
		}
		pid, _ := strconv.Atoi(m[1])
		by[pid] += n
	}
	return by
}

// instanceOf returns the number of the instance to whose cgroup a process belongs, or 0 if the process has ended or does
// not belong to the app. The cgroup contains the main process and its child processes.
func instanceOf(a kit.App, pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("%s/proc/%d/cgroup", a.Machine.Root(), pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), "/"+a.Name+"@")
	if !ok {
		return 0
	}
	number, _, _ := strings.Cut(rest, ".")
	i, _ := strconv.Atoi(number)
	return i
}

// The function processes returns the PIDs in an instance's cgroup.
func processes(t testing.TB, a kit.App, i int) []int {
	t.Helper()
	group := a.Machine.Property(t, a.Unit(i), "ControlGroup")
	out := a.Machine.Try("cat /sys/fs/cgroup/systemd'" + group + "'/cgroup.procs 2>/dev/null || cat /sys/fs/cgroup'" +
		group + "'/cgroup.procs").Stdout
	var pids []int
	for _, l := range kit.Lines(out) {
		pid, _ := strconv.Atoi(l)
		pids = append(pids, pid)
	}
	return pids
}

// shimPID returns the PID of the shim process in instance i. The shim process intercepts system calls of the program.
func shimPID(t testing.TB, a kit.App, i int) int {
	t.Helper()
	for _, pid := range processes(t, a, i) {
		exe, err := os.Readlink(fmt.Sprintf("%s/proc/%d/exe", a.Machine.Root(), pid))
		if err == nil && filepath.Base(exe) == filepath.Base(kit.Shim) {
			return pid
		}
	}
	t.Fatalf("no process of the shim runs in %s", a.Unit(i))
	return 0
}

// runConcurrently runs one subtest for each program, at most limit of them at the same time. t.Parallel would run only
// one subtest per CPU, but these subtests need little CPU time.
func runConcurrently[P interface{ String() string }](t *testing.T, limit int, programs []P, f func(*testing.T, P)) {
	t.Helper()
	running := make(chan struct{}, limit)
	var wg sync.WaitGroup
	for _, p := range programs {
		wg.Go(func() {
			running <- struct{}{}
			defer func() { <-running }()
			t.Run(p.String(), func(t *testing.T) { f(t, p) })
		})
	}
	wg.Wait()
}

// mostBatches is the maximum number of batches of requests that wantAllAnswer sends. Usually, one or two batches are
// enough.
const mostBatches = 40

// wantAllAnswer sends batches of requests until each instance has answered a request. The test fails if a request fails,
// if a response does not match want, or if an instance has not answered after mostBatches batches.
func wantAllAnswer(t testing.TB, a kit.App, path string, want *regexp.Regexp) {
	t.Helper()
	seen := map[int]int{}
	for range mostBatches {
		r := load.Start(t, a.Machine, load.Options{URL: a.URL(path), Conns: 4 * a.Instances, Requests: 30 * a.Instances,
			WorkerHeader: bodies}).Wait()
		if r.Failed() > 0 {
			t.Errorf("%d requests failed, want 0: %v", r.Failed(), r)
			return
		}
		for pid, n := range responsesByPID(t, r, want) {
			seen[instanceOf(a, pid)] += n
		}
		delete(seen, 0)
		if len(seen) == a.Instances || t.Failed() {
			return
		}
	}
	t.Errorf("want responses of %d instances, got the responses per instance %v", a.Instances, seen)
}
