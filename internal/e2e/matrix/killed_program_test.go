//go:build lab

package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// The function kill sends SIGKILL to processes in the machine.
func kill(t testing.TB, m *kit.Machine, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if pid <= 1 {
			t.Fatalf("the PID to kill is %d, want the PID of a worker", pid)
		}
		m.Sh(t, "kill -9 "+strconv.Itoa(pid))
	}
}

// awaitReplacement calls f, which must kill the main process of instance i, and waits until the instance is active with
// another main process.
func awaitReplacement(t testing.TB, a kit.App, i int, f func()) {
	t.Helper()
	changes := kit.DialBus(t, a.Machine).Watch(t, a.Unit(i))
	old := a.Machine.MainPID(t, a.Unit(i))
	f()
	kit.ReadUntil(t, a.Unit(i)+" runs again", changes, kit.RunsOther(old))
}

// wantOneShim fails the test unless exactly one process of the shim runs in each instance.
func wantOneShim(t testing.TB, a kit.App) {
	t.Helper()
	for i := range a.Instances {
		n := 0
		for _, pid := range processes(t, a, i+1) {
			if exe, _ := os.Readlink(fmt.Sprintf("%s/proc/%d/exe", a.Machine.Root(), pid)); filepath.Base(exe) == filepath.Base(kit.Shim) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d processes of the shim run in %s, want 1", n, a.Unit(i+1))
		}
	}
}

// TestKilledProgram kills the program of an instance, alone and together with the shim process, under load. Only requests
// that the program had accepted may be lost. Afterwards, the instance must run with one process of the shim.
func TestKilledProgram(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := install(t, m, "k-node", 2, 8501, portFlags(8501, "--drain-timeout", "2s", "node.js")...)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate, WorkerHeader: bodies})
	kills := []struct {
		name string
		pids func(main, shim int) []int
	}{
		{"the program", func(main, _ int) []int { return []int{main} }},
		{"the program, then the shim", func(main, shim int) []int { return []int{main, shim} }},
		{"the shim, then the program", func(main, shim int) []int { return []int{shim, main} }},
	}
	for _, k := range kills {
		main, shim := m.MainPID(t, a.Unit(1)), shimPID(t, a, 1)
		// One command kills all processes, because the shim process could exit before a second command kills it. The
		// command may fail, because the shim process may have exited already.
		var words []string
		for _, pid := range k.pids(main, shim) {
			words = append(words, strconv.Itoa(pid))
		}
		awaitReplacement(t, a, 1, func() { m.Sh(t, "kill -9 "+strings.Join(words, " ")+" || true") })
		t.Logf("the instance runs again after the kill of %s", k.name)
		wantOneShim(t, a)
	}
	r := run.Stop()
	t.Log(r)
	responsesByPID(t, r, hello)
	if err := r.AfterKills(len(kills)); err != nil {
		t.Error(err)
	}
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	wantInventory(t, m, before)
}

// TestShimKilled kills the shim process of an instance, which intercepts system calls of the program. A program that
// uses epoll must continue to run, because it needs the shim only for its calls of bind. A program with a blocking
// accept exits, because it needs the shim for each accept. systemd must restart this program. No request may be lost.
func TestShimKilled(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	node := install(t, m, "k-loop", 2, 8502, portFlags(8502, "--drain-timeout", "2s", "node.js")...)
	pids := node.PIDs(t)
	run := load.Start(t, m, load.Options{URL: node.URL("/hello"), Conns: 4, Rate: rate, WorkerHeader: bodies})
	kill(t, m, shimPID(t, node, 1))
	wantAllAnswer(t, node, "/hello", hello)
	kit.WantNotReplaced(t, pids, node.PIDs(t))
	m.Sh(t, "systemctl reload "+node.Name)
	if r := run.Stop(); r.Failed() > 0 {
		t.Errorf("%d requests failed after the kill of the shim and a reload, want 0: %v", r.Failed(), r)
	}
	wantOneShim(t, node)

	c := install(t, m, "k-accept", 2, 8503, portFlags(8503, "--drain-timeout", "2s", "./server-c")...)
	// The accept call that is in progress succeeds. The next call fails with ENOSYS, and this program exits because of
	// the error. The program has answered its request before it exits, so no request is lost.
	awaitReplacement(t, c, 1, func() {
		kill(t, m, shimPID(t, c, 1))
		if r := load.Start(t, m, load.Options{URL: c.URL("/hello"), Conns: 4, Requests: 200}).Wait(); r.Failed() > 0 {
			t.Errorf("%d requests failed after the kill of the shim during accept, want 0: %v", r.Failed(), r)
		}
	})
	wantOneShim(t, c)
	wantAllAnswer(t, c, "/hello", hello)
	node.Uninstall(t)
	c.Uninstall(t)
	wantInventory(t, m, before)
}

// TestStoppedProgram stops an app whose program has sent SIGSTOP to itself while it serves a request. The drain must end
// at the drain timeout, and the stop must end within the stop timeout of the unit.
func TestStoppedProgram(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := install(t, m, "k-stop", 1, 8504, portFlags(8504, "--drain-timeout", "2s", "hang.js")...)
	client := m.Start(t, "curl", "-sS", "--max-time", "600", a.URL("/hang"))
	m.AwaitJournal(t, "hangs", "-u", a.Unit(1))
	timeout, err := time.ParseDuration(strings.ReplaceAll(a.Machine.Property(t, a.Unit(1), "TimeoutStopUSec"), "min ", "m"))
	if err != nil {
		t.Fatal(err)
	}
	// systemd applies the timeout first to ExecStop=, and then again to the stop signal.
	most := patience.For(2*timeout + 20*time.Second)
	begin := time.Now()
	m.Sh(t, fmt.Sprintf("timeout %d %s stop %s", int(most.Seconds()), kit.Ctl, a.Name))
	t.Logf("the stop took %v; TimeoutStopSec=%v", time.Since(begin), timeout)
	client.Stop()
	if s := a.Machine.Property(t, a.Unit(1), "ActiveState"); s != "inactive" && s != "failed" {
		t.Errorf("%s is %s after the stop, want inactive or failed", a.Unit(1), s)
	}
	m.Must(t, "start", a.Name)
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	wantInventory(t, m, before)
}

// TestTenThousandBinds lets a program call bind ten thousand times with ports that are not shared. The results must be
// the same as without the shim, and the calls must not leave open file descriptors in the shim or in the program.
func TestTenThousandBinds(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := install(t, m, "k-binds", 1, 8505, portFlags(8505, "binds.py")...)
	shim, main := shimPID(t, a, 1), m.MainPID(t, a.Unit(1))
	get := func(path string) string { return m.Sh(t, "curl -sS --max-time 600 "+a.URL(path)) }
	// The program counts its own descriptors, because a count in /proc could include a connection that the program has
	// not closed yet.
	descriptors := func() []string {
		return []string{m.Sh(t, fmt.Sprintf("ls /proc/%d/fd | wc -l", shim)), get("/descriptors")}
	}
	opened := descriptors()
	const want = "EADDRINUSE:1000 True:9000"
	for range 2 {
		if got := get("/binds"); got != want {
			t.Errorf("the results of 10,000 calls of bind are %q, want %q", got, want)
		}
	}
	if got := descriptors(); !slices.Equal(got, opened) {
		t.Errorf("the numbers of descriptors of the shim and the program were %v, and are %v", opened, got)
	}
	kit.WantNotReplaced(t, []int{main, shim}, []int{m.MainPID(t, a.Unit(1)), shimPID(t, a, 1)})
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	wantInventory(t, m, before)
}
