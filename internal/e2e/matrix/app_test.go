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

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// app is an installed app.
type app struct {
	m    *lab.Machine
	name string
	n    int
	port int
	// said is what the install told.
	said lab.Result
}

// patient makes the probe wait for a program for as long as a busy machine may need. As a rule it ends as soon as the
// program listens and is quiet.
var patient = []string{"--probe-timeout", "2m"}

// install installs n instances of what args say, "clusterctl install -i N ARGS…", and removes the app with the test.
func install(t testing.TB, m *lab.Machine, name string, n, port int, args ...string) *app {
	t.Helper()
	a := &app{m: m, name: name, n: n, port: port}
	t.Cleanup(func() { a.uninstall(t) })
	a.said = must(t, m, slices.Concat([]string{"install", "-i", itoa(n), "--settle", "100ms", "--name", name}, patient, args)...)
	return a
}

// uninstall removes the app, if it is there.
func (a *app) uninstall(t testing.TB) {
	t.Helper()
	if a.m.Try("test -e /etc/clusterctl/"+a.name+".yaml").Code != 0 {
		return
	}
	if r := run(t, a.m, "uninstall", "--yes", a.name); r.Code != 0 {
		t.Errorf("uninstalling %s: %v", a.name, r)
	}
}

func (a *app) unit(i int) string { return fmt.Sprintf("%s@%d.service", a.name, i) }

func (a *app) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", a.port, path) }

// property reads one property of a unit.
func (a *app) property(t testing.TB, unit, name string) string {
	t.Helper()
	return a.m.Sh(t, "systemctl show --value -p "+name+" '"+unit+"'")
}

// pids are the main processes of the instances.
func (a *app) pids(t testing.TB) []int {
	t.Helper()
	var pids []int
	for i := range a.n {
		pids = append(pids, a.m.MainPID(t, a.unit(i+1)))
	}
	return pids
}

// bodies is the header that no program sends, so that package load names the worker by the answer's body.
const bodies = "X-None"

// hello is the answer of the programs in testdata.
var hello = regexp.MustCompile(`^hello from /hello by (\d+)$`)

// answers reads who answered from a report in which bodies are the names. An answer that is not right fails the test.
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

// instanceOf tells which instance of the app a process belongs to: by its cgroup, so that the worker of a worker counts
// too. It is 0 for a process that is gone or somebody else's.
func (a *app) instanceOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("%s/proc/%d/cgroup", a.m.Root(), pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), "/"+a.name+"@")
	if !ok {
		return 0
	}
	number, _, _ := strings.Cut(rest, ".")
	i, _ := strconv.Atoi(number)
	return i
}

// processes are the PIDs in an instance's cgroup.
func (a *app) processes(t testing.TB, i int) []int {
	t.Helper()
	group := a.property(t, a.unit(i), "ControlGroup")
	out := a.m.Try("cat /sys/fs/cgroup/systemd'" + group + "'/cgroup.procs 2>/dev/null || cat /sys/fs/cgroup'" + group + "'/cgroup.procs").Stdout
	var pids []int
	for _, l := range lines(out) {
		pid, _ := strconv.Atoi(l)
		pids = append(pids, pid)
	}
	return pids
}

// notifier is the PID of the shim beside an instance's program.
func (a *app) notifier(t testing.TB, i int) int {
	t.Helper()
	for _, pid := range a.processes(t, i) {
		exe, err := os.Readlink(fmt.Sprintf("%s/proc/%d/exe", a.m.Root(), pid))
		if err == nil && filepath.Base(exe) == filepath.Base(shim) {
			return pid
		}
	}
	t.Fatalf("no notifier in %s", a.unit(i))
	return 0
}

// together runs subtests beside one another, a few at a time. T.Parallel would run as many as there are CPUs, and these
// wait more than they work.
func together[P interface{ String() string }](t *testing.T, atATime int, programs []P, f func(*testing.T, P)) {
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

// mostBatches bounds how long everyOne waits for the last instance; the first or second batch is enough as a rule.
const mostBatches = 40

// everyOne sends requests until each instance has answered. Every answer has to be right and no request may fail.
func (a *app) everyOne(t testing.TB, path string, want *regexp.Regexp) {
	t.Helper()
	seen := map[int]int{}
	for range mostBatches {
		r := load.Start(t, a.m, load.Options{URL: a.url(path), Conns: 4 * a.n, Requests: 30 * a.n, WorkerHeader: bodies}).Wait()
		if r.Failed() > 0 {
			t.Errorf("not all requests are answered: %v", r)
			return
		}
		for pid, n := range answers(t, r, want) {
			seen[a.instanceOf(pid)] += n
		}
		delete(seen, 0)
		if len(seen) == a.n || t.Failed() {
			return
		}
	}
	t.Errorf("not all of the %d instances answer: %v", a.n, seen)
}

// wantUp fails the test unless every unit of the app is active.
func (a *app) wantUp(t testing.TB) {
	t.Helper()
	units := []string{a.name + ".service", a.name + ".socket"}
	for i := range a.n {
		units = append(units, a.unit(i+1))
	}
	for _, u := range units {
		if s := a.property(t, u, "ActiveState"); s != "active" {
			t.Errorf("%s is %s, want active\n%v", u, s, a.m.Try("systemctl --no-pager status '"+u+"'"))
		}
	}
}
