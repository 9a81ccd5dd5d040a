//go:build lab

package matrix

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// installCrasher installs two instances of a server that can be made to exit at its start. Every run counts as short, even
// on a busy machine, unless flags change that.
func installCrasher(t testing.TB, m *kit.Machine, name string, n int, flags ...string) kit.App {
	t.Helper()
	t.Cleanup(func() { m.Sh(t, "rm -rf "+srv+"/crash") })
	m.Sh(t, "mkdir -p "+srv+"/crash")
	args := slices.Concat([]string{"--env", "NAME=" + name, "--drain-timeout", "2s", "--min-uptime", "1h"}, flags, []string{"crash.py"})
	return install(t, m, name, 2, n, portFlags(n, args...)...)
}

// startCrashing kills an instance, and makes it exit at each start.
func startCrashing(t testing.TB, a kit.App, i int) {
	t.Helper()
	a.Machine.Sh(t, fmt.Sprintf("touch %s/crash/%s-%d && systemctl kill -s KILL %s", srv, a.Name, i, a.Unit(i)))
}

// stopCrashing makes an instance serve at its next start.
func stopCrashing(t testing.TB, a kit.App, i int) {
	t.Helper()
	a.Machine.Sh(t, fmt.Sprintf("rm %s/crash/%s-%d", srv, a.Name, i))
}

var waiting = regexp.MustCompile(`^waiting (\S+) after (\d+) short runs, the last with exited/7$`)

// TestBackoff: the first restart is immediate, and each later wait is 1.5 times as long as the one before. While one
// instance crashes, the other one serves all requests. When the fault is fixed, the instance recovers without help.
func TestBackoff(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	a := installCrasher(t, m, "b-grow", 8701)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 2, Rate: 200, WorkerHeader: bodies})
	changes := kit.DialBus(t, m).Watch(t, a.Unit(2))
	startCrashing(t, a, 2)
	seen := kit.ReadUntil(t, "six runs were short", changes, func(s kit.Status) bool {
		return strings.HasPrefix(s.Text, "waiting") && strings.Contains(s.Text, "after 6 ")
	})
	stopCrashing(t, a, 2)
	kit.ReadUntil(t, "the instance is back", changes, func(s kit.Status) bool { return s.Active == "active" })

	var texts []string
	for _, s := range seen {
		if strings.HasPrefix(s.Text, "waiting") && !slices.Contains(texts, s.Text) {
			texts = append(texts, s.Text)
		}
	}
	// There is no wait after the kill and after the first short run: restarts 1 and 2 follow at once and after 100 ms.
	want := time.Duration(0)
	for i, text := range texts {
		w := waiting.FindStringSubmatch(text)
		if w == nil {
			t.Fatalf("the status is %q, want %v", text, waiting)
		}
		d, err := time.ParseDuration(w[1])
		if n, _ := strconv.Atoi(w[2]); err != nil || n != i+2 {
			t.Errorf("the status of wait %d is %q", i+1, text)
		}
		if want = max(want*3/2, 100*time.Millisecond); d < want-time.Millisecond || d > want+time.Millisecond {
			t.Errorf("wait %d is %v, want %v", i+1, d, want)
		}
	}
	if len(texts) != 5 {
		t.Errorf("the waits were %q, want five waits, after 2 to 6 short runs", texts)
	}
	r := run.Stop()
	// Only the kill may cost requests. Later runs end before they accept a connection.
	if err := r.AfterKills(1); err != nil {
		t.Errorf("while one instance crashed: %v\n%v", err, r)
	}
	// There are more runs if the fault was not fixed within the wait of half a second.
	m.AwaitJournal(t, "starts with failures=6", "-u", a.Unit(2))
	got := failures(t, a, 2)
	for i, f := range got {
		if f != fmt.Sprintf("failures=%d", i) {
			t.Errorf("run %d began with %s", i, f)
		}
	}
	if len(got) < 7 {
		t.Errorf("the runs began with %q, want at least 7 runs", got)
	}
	wantAllAnswer(t, a, "/hello", hello)
}

// failures returns the failure count in the state file at each start of an instance, the oldest start first.
func failures(t testing.TB, a kit.App, i int) []string {
	t.Helper()
	var all []string
	for _, l := range kit.Lines(a.Machine.Journal(t, "-u", a.Unit(i), "-o", "cat")) {
		if f, ok := strings.CutPrefix(l, "starts with "); ok {
			all = append(all, f)
		}
	}
	return all
}

// TestBackoffOnEachSystemd: on each systemd, root counts the failures of adopted and of native apps. A requested stop resets
// the count. The environment file of an app cannot make root write the count to another directory.
func TestBackoffOnEachSystemd(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "mkdir -p /run/elsewhere")
		m.WriteFile(t, srv+"/elsewhere.env", "RUNTIME_DIRECTORY=/run/elsewhere\n", 0o644)
		for i, kind := range []string{"adopt", "native"} {
			// All runs must count as short, even on a busy machine.
			flags := []string{"--env", "NAME=b-all-" + kind, "--drain-timeout", "2s", "--min-uptime", "1h"}
			if kind == "native" {
				flags = append(flags, "--no-listen", "--ready", "exec", "--env-file", srv+"/elsewhere.env")
			}
			a := install(t, m, "b-all-"+kind, 1, 8711+i, append(flags, portFlags(8711+i, "crash.py")...)...)
			var got []string
			count := func() {
				got = append(got, strings.TrimSpace(m.Sh(t, "grep -s ^failures= /run/clusterctl/"+a.Name+"/1.backoff || echo failures=0")))
			}
			count()
			for range 3 {
				// Kill only the program. Since 257, "systemctl kill" of the whole unit also kills the commands that run
				// after the program.
				awaitReplacement(t, a, 1, func() { m.Sh(t, fmt.Sprintf("kill -KILL %d", m.MainPID(t, a.Unit(1)))) })
				count()
			}
			m.Sh(t, "systemctl restart "+a.Unit(1))
			count()
			if !slices.Equal(got, []string{"failures=0", "failures=1", "failures=2", "failures=3", "failures=0"}) {
				t.Errorf("%s: the runs began with %q", kind, got)
			}
			if kind == "native" {
				m.AwaitJournal(t, "runtime directory /run/elsewhere", "-u", a.Unit(1)) // the program has the changed variable
			}
			if left := m.Sh(t, "ls -A /run/elsewhere"); left != "" {
				t.Errorf("%s: root has written to the directory of the environment file: %s", kind, left)
			}
		}
	})
}

// TestMinUptime: a run that lasts as long as --min-uptime is not a short run, so the next start does not wait.
func TestMinUptime(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	a := installCrasher(t, m, "b-uptime", 8702, "--min-uptime", "1ms")
	for range 5 {
		awaitReplacement(t, a, 2, func() { m.Sh(t, "systemctl kill -s KILL "+a.Unit(2)) })
	}
	m.AwaitJournal(t, "starts with", "-u", a.Unit(2), fmt.Sprintf("_PID=%d", m.MainPID(t, a.Unit(2))))
	got := failures(t, a, 2)
	if len(got) != 6 || slices.ContainsFunc(got[1:], func(s string) bool { return s != "failures=1" }) {
		t.Errorf("after five kills of long runs, the runs began with %q", got)
	}
}

// TestGivingUp: an instance that gives up logs the reason, and the other instances are not affected. When the last instance
// gives up, the app is stopped, so that clients are refused instead of hanging.
func TestGivingUp(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := installCrasher(t, m, "b-giveup", 8703, "--max-restarts", "3")
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 2, Rate: 200, WorkerHeader: bodies})
	changes := kit.DialBus(t, m).Watch(t, a.Unit(2))
	startCrashing(t, a, 2)
	// The state "failed" is not enough, because a unit is also failed for a moment before each restart.
	kit.ReadUntil(t, "the instance has given up", changes,
		func(s kit.Status) bool { return s.Active == "failed" && s.Exit == contract.StatusGaveUp })
	r := run.Stop()
	if err := r.AfterKills(1); err != nil {
		t.Errorf("while one instance gave up: %v\n%v", err, r)
	}
	m.AwaitJournal(t, "hint:", "-u", a.Unit(2)) // the last line of the message
	if log := m.Journal(t, "-u", a.Unit(2), "-o", "cat"); !strings.Contains(log, "gave up after 3 restarts") ||
		!strings.Contains(log, "exited/7") || !strings.Contains(log, "hint:") {
		t.Errorf("the journal does not contain the reason for giving up:\n%s", log)
	}
	for _, u := range []string{a.Name + ".socket", a.Name + ".service", a.Unit(1)} {
		if s := a.Machine.Property(t, u, "ActiveState"); s != "active" {
			t.Errorf("one instance has given up, but %s is %s", u, s)
		}
	}
	kit.WantOutput(t, m.Must(t, "ls"), "1/2", "degraded")
	kit.WantOutput(t, m.Must(t, "show", a.Name), "degraded", "gave up")

	// A job stops the whole app. It has ended when the socket is closed.
	socket := kit.DialBus(t, m).Watch(t, a.Name+".socket")
	startCrashing(t, a, 1)
	kit.ReadUntil(t, "the socket is closed", socket, func(s kit.Status) bool { return s.Active == "inactive" })
	if r := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 2, Requests: 20}).Wait(); r.Refused != 20 {
		t.Errorf("all instances have given up, but clients are not refused: %v", r)
	}
	kit.WantOutput(t, m.Must(t, "show", a.Name), "gave up")

	stopCrashing(t, a, 1)
	stopCrashing(t, a, 2)
	m.Must(t, "reset", a.Name)
	m.Must(t, "start", a.Name)
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	m.Sh(t, "rmdir "+srv+"/crash")
	wantNothingLeft(t, m, before)
}
