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

// kill sends SIGKILL to processes of the machine.
func kill(t testing.TB, m *kit.Machine, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if pid <= 1 {
			t.Fatalf("%d is not a worker", pid)
		}
		m.Sh(t, "kill -9 "+strconv.Itoa(pid))
	}
}

// awaitReplacement calls f, which kills an instance, and waits until the instance is active with another main process.
func awaitReplacement(t testing.TB, a kit.App, i int, f func()) {
	t.Helper()
	changes := kit.DialBus(t, a.Machine).Watch(t, a.Unit(i))
	old := a.Machine.MainPID(t, a.Unit(i))
	f()
	kit.ReadUntil(t, a.Unit(i)+" is back", changes, kit.RunsOther(old))
}

// wantOneNotifier fails the test unless exactly one process of the shim runs in each instance.
func wantOneNotifier(t testing.TB, a kit.App) {
	t.Helper()
	for i := range a.Instances {
		n := 0
		for _, pid := range processes(t, a, i+1) {
			if exe, _ := os.Readlink(fmt.Sprintf("%s/proc/%d/exe", a.Machine.Root(), pid)); filepath.Base(exe) == filepath.Base(kit.Shim) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d notifiers run in %s", n, a.Unit(i+1))
		}
	}
}

// TestKilledProgram sends SIGKILL to the program, and to both the program and the notifier, under load. Only the requests
// that the program was serving may be lost. The instance must come back with one notifier.
func TestKilledProgram(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := install(t, m, "k-node", 2, 8501, portFlags(8501, "--drain-timeout", "2s", "node.js")...)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate, WorkerHeader: bodies})
	victims := []struct {
		name string
		pids func(main, notifier int) []int
	}{
		{"the program", func(main, _ int) []int { return []int{main} }},
		{"the program, then the notifier", func(main, notifier int) []int { return []int{main, notifier} }},
		{"the notifier, then the program", func(main, notifier int) []int { return []int{notifier, main} }},
	}
	for _, v := range victims {
		old, notifier := m.MainPID(t, a.Unit(1)), notifier(t, a, 1)
		// Kill all processes with one command, because the notifier exits by itself soon after the program is killed. If it
		// has exited before the command reaches it, that is not an error.
		var words []string
		for _, pid := range v.pids(old, notifier) {
			words = append(words, strconv.Itoa(pid))
		}
		awaitReplacement(t, a, 1, func() { m.Sh(t, "kill -9 "+strings.Join(words, " ")+" || true") })
		t.Logf("%s: replaced", v.name)
		wantOneNotifier(t, a)
	}
	r := run.Stop()
	t.Log(r)
	answers(t, r, hello)
	if err := r.AfterKills(len(victims)); err != nil {
		t.Error(err)
	}
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	wantNothingLeft(t, m, before)
}

// TestNotifierKilled kills the notifier. A program that uses epoll needs its notifier only for the next bind, so it goes
// on. A program whose accept the notifier holds exits, and is restarted. Neither loses a request.
func TestNotifierKilled(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	node := install(t, m, "k-loop", 2, 8502, portFlags(8502, "--drain-timeout", "2s", "node.js")...)
	pids := node.PIDs(t)
	run := load.Start(t, m, load.Options{URL: node.URL("/hello"), Conns: 4, Rate: rate, WorkerHeader: bodies})
	kill(t, m, notifier(t, node, 1))
	wantAllAnswer(t, node, "/hello", hello)
	if !slices.Equal(node.PIDs(t), pids) {
		t.Error("the program did not survive its notifier")
	}
	m.Sh(t, "systemctl reload "+node.Name)
	if r := run.Stop(); r.Failed() > 0 {
		t.Errorf("requests failed after the notifier was killed and the app reloaded: %v", r)
	}
	wantOneNotifier(t, node)

	c := install(t, m, "k-accept", 2, 8503, portFlags(8503, "--drain-timeout", "2s", "./server-c")...)
	// The accept call in progress continues. The next one fails with ENOSYS, and this program exits on that error. By then
	// it has answered its request, so no request is lost.
	awaitReplacement(t, c, 1, func() {
		kill(t, m, notifier(t, c, 1))
		if r := load.Start(t, m, load.Options{URL: c.URL("/hello"), Conns: 4, Requests: 200}).Wait(); r.Failed() > 0 {
			t.Errorf("requests failed after the notifier of a held accept was killed: %v", r)
		}
	})
	wantOneNotifier(t, c)
	wantAllAnswer(t, c, "/hello", hello)
	node.Uninstall(t)
	c.Uninstall(t)
	wantNothingLeft(t, m, before)
}

// TestStoppedProgram: the drain waits for a program that SIGSTOP has stopped while it serves a request, but not longer than
// the drain timeout, and the stop ends within the timeout of the unit.
func TestStoppedProgram(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := install(t, m, "k-stop", 1, 8504, portFlags(8504, "--drain-timeout", "2s", "hang.js")...)
	client := m.Start(t, "curl", "-sS", "--max-time", "600", a.URL("/hang"))
	m.AwaitJournal(t, "hangs", "-u", a.Unit(1))
	bound, err := time.ParseDuration(strings.ReplaceAll(a.Machine.Property(t, a.Unit(1), "TimeoutStopUSec"), "min ", "m"))
	if err != nil {
		t.Fatal(err)
	}
	// systemd applies the timeout to ExecStop= and to the stop signal that follows it separately.
	most := patience.For(2*bound + 20*time.Second)
	begin := time.Now()
	m.Sh(t, fmt.Sprintf("timeout %d %s stop %s", int(most.Seconds()), kit.Ctl, a.Name))
	t.Logf("stopping took %v; TimeoutStopSec=%v", time.Since(begin), bound)
	client.Stop()
	if s := a.Machine.Property(t, a.Unit(1), "ActiveState"); s != "inactive" && s != "failed" {
		t.Errorf("%s is %s after the stop", a.Unit(1), s)
	}
	m.Must(t, "start", a.Name)
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	wantNothingLeft(t, m, before)
}

// TestTenThousandBinds: ten thousand binds to other ports have the same results as without the shim, and the notifier keeps
// no descriptors.
func TestTenThousandBinds(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := install(t, m, "k-binds", 1, 8505, portFlags(8505, "binds.py")...)
	shim, main := notifier(t, a, 1), m.MainPID(t, a.Unit(1))
	ask := func(path string) string { return m.Sh(t, "curl -sS --max-time 600 "+a.URL(path)) }
	// The program counts its own descriptors. A count from outside could include a connection that the program has yet to
	// close.
	descriptors := func() []string {
		return []string{m.Sh(t, fmt.Sprintf("ls /proc/%d/fd | wc -l", shim)), ask("/descriptors")}
	}
	was := descriptors()
	const want = "EADDRINUSE:1000 True:9000"
	for range 2 {
		if got := ask("/binds"); got != want {
			t.Errorf("10,000 binds gave %q, want %q", got, want)
		}
	}
	if is := descriptors(); !slices.Equal(is, was) {
		t.Errorf("notifier and program had %v descriptors, and now have %v", was, is)
	}
	if m.MainPID(t, a.Unit(1)) != main || notifier(t, a, 1) != shim {
		t.Error("a process was replaced")
	}
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	wantNothingLeft(t, m, before)
}
