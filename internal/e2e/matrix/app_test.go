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

// slowProbe makes the probe wait for a program for as long as a busy machine may need. As a rule it ends as soon as the
// program listens and is quiet.
var slowProbe = []string{"--probe-timeout", "2m"}

// install installs an app of what args say, and removes it at the end of the test.
func install(t testing.TB, m *kit.Machine, name string, instances, port int, args ...string) kit.App {
	t.Helper()
	return kit.Install(t, m, name, instances, port, slices.Concat([]string{"--settle", "100ms"}, slowProbe, args)...)
}

// bodies is a header that no program sends, so that package load names the worker by the body of the answer.
const bodies = "X-None"

// hello is the answer of the programs in testdata.
var hello = regexp.MustCompile(`^hello from /hello by (\d+)$`)

// answers returns how often each process answered, from a report whose names are bodies. A wrong answer fails the test.
func answers(t testing.TB, r load.Report, want *regexp.Regexp) map[int]int {
	t.Helper()
	by := map[int]int{}
	for body, n := range r.Workers {
		m := want.FindStringSubmatch(body)
		if m == nil {
			t.Errorf("%d times the answer is %q, want %v", n, body, want)
			continue
		}
		pid, _ := strconv.Atoi(m[1])
		by[pid] += n
	}
	return by
}

// instanceOf returns the instance of the app that a process belongs to, by its cgroup, so that the worker of a worker
// counts, too. It returns 0 for a process that has ended or is not one of the app.
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

// processes returns the PIDs in an instance's cgroup.
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

// notifier is the PID of the shim beside an instance's program.
func notifier(t testing.TB, a kit.App, i int) int {
	t.Helper()
	for _, pid := range processes(t, a, i) {
		exe, err := os.Readlink(fmt.Sprintf("%s/proc/%d/exe", a.Machine.Root(), pid))
		if err == nil && filepath.Base(exe) == filepath.Base(kit.Shim) {
			return pid
		}
	}
	t.Fatalf("no notifier in %s", a.Unit(i))
	return 0
}

// runConcurrently runs subtests beside one another, a few at a time. T.Parallel would run as many as there are CPUs, and these
// wait more than they work.
func runConcurrently[P interface{ String() string }](t *testing.T, atATime int, programs []P, f func(*testing.T, P)) {
	t.Helper()
	turn := make(chan struct{}, atATime)
	var wg sync.WaitGroup
	for _, p := range programs {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			t.Run(p.String(), func(t *testing.T) { f(t, p) })
		})
	}
	wg.Wait()
}

// mostBatches bounds how often wantAllAnswer sends requests; the first or second batch is usually enough.
const mostBatches = 40

// wantAllAnswer sends requests until each instance has answered. Every answer must be right, and no request may fail.
func wantAllAnswer(t testing.TB, a kit.App, path string, want *regexp.Regexp) {
	t.Helper()
	seen := map[int]int{}
	for range mostBatches {
		r := load.Start(t, a.Machine, load.Options{URL: a.URL(path), Conns: 4 * a.Instances, Requests: 30 * a.Instances,
			WorkerHeader: bodies}).Wait()
		if r.Failed() > 0 {
			t.Errorf("not all requests are answered: %v", r)
			return
		}
		for pid, n := range answers(t, r, want) {
			seen[instanceOf(a, pid)] += n
		}
		delete(seen, 0)
		if len(seen) == a.Instances || t.Failed() {
			return
		}
	}
	t.Errorf("not all of the %d instances answer: %v", a.Instances, seen)
}
