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

// slowProbe makes the probe wait long enough for a program on a busy machine. The probe usually ends earlier, when the
// program listens and is quiet.
var slowProbe = []string{"--probe-timeout", "2m"}

// install installs an app with the given arguments, and uninstalls it at the end of the test.
func install(t testing.TB, m *kit.Machine, name string, instances, port int, args ...string) kit.App {
	t.Helper()
	return kit.Install(t, m, name, instances, port, slices.Concat([]string{"--settle", "100ms"}, slowProbe, args)...)
}

// bodies is the name of a header that no program sends. With it, package load takes the body of an answer as the name of
// the worker.
const bodies = "X-None"

// hello matches the answer of the programs in testdata.
var hello = regexp.MustCompile(`^hello from /hello by (\d+)$`)

// answers returns how often each process answered. The report must name workers by the bodies of their answers. A wrong
// answer fails the test.
func answers(t testing.TB, r load.Report, want *regexp.Regexp) map[int]int {
	t.Helper()
	by := map[int]int{}
	for body, n := range r.Workers {
		m := want.FindStringSubmatch(body)
		if m == nil {
			t.Errorf("%d answers are %q, want %v", n, body, want)
			continue
		}
		pid, _ := strconv.Atoi(m[1])
		by[pid] += n
	}
	return by
}

// instanceOf returns the instance of the app that a process belongs to, or 0 if the process has ended or is not part of the
// app. It looks at the cgroup, so that child processes of the main process are found, too.
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

// notifier returns the PID of the shim that runs beside the program of an instance.
func notifier(t testing.TB, a kit.App, i int) int {
	t.Helper()
	for _, pid := range processes(t, a, i) {
		exe, err := os.Readlink(fmt.Sprintf("%s/proc/%d/exe", a.Machine.Root(), pid))
		if err == nil && filepath.Base(exe) == filepath.Base(kit.Shim) {
			return pid
		}
	}
	t.Fatalf("no notifier runs in %s", a.Unit(i))
	return 0
}

// runConcurrently runs subtests at the same time, at most atATime of them. T.Parallel would run only as many as there are
// CPUs, but these subtests mostly wait.
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

// mostBatches limits how often wantAllAnswer sends requests. One or two batches are usually enough.
const mostBatches = 40

// wantAllAnswer sends requests until each instance has answered. It fails the test when an answer is wrong or a request
// fails.
func wantAllAnswer(t testing.TB, a kit.App, path string, want *regexp.Regexp) {
	t.Helper()
	seen := map[int]int{}
	for range mostBatches {
		r := load.Start(t, a.Machine, load.Options{URL: a.URL(path), Conns: 4 * a.Instances, Requests: 30 * a.Instances,
			WorkerHeader: bodies}).Wait()
		if r.Failed() > 0 {
			t.Errorf("not all requests were answered: %v", r)
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
	t.Errorf("not all of the %d instances answered: %v", a.Instances, seen)
}
