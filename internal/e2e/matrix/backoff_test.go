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
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// crasher installs two instances of a server that can be told to end at its start. A run is a short one however busy the
// machine is, unless flags say otherwise.
func crasher(t testing.TB, m *lab.Machine, name string, n int, flags ...string) *app {
	t.Helper()
	t.Cleanup(func() { m.Sh(t, "rm -rf "+srv+"/crash") })
	m.Sh(t, "mkdir -p "+srv+"/crash")
	args := slices.Concat([]string{"--env", "NAME=" + name, "--drain-timeout", "2s", "--min-uptime", "1h"}, flags, []string{"crash.py"})
	return install(t, m, name, 2, n, port(n, args...)...)
}

// crashes makes an instance end at each start from now on, and ends it now.
func (a *app) crashes(t testing.TB, i int) {
	t.Helper()
	a.m.Sh(t, fmt.Sprintf("touch %s/crash/%s-%d && systemctl kill -s KILL %s", srv, a.name, i, a.unit(i)))
}

// recovers makes it serve again.
func (a *app) recovers(t testing.TB, i int) {
	t.Helper()
	a.m.Sh(t, fmt.Sprintf("rm %s/crash/%s-%d", srv, a.name, i))
}

var waiting = regexp.MustCompile(`^waiting (\S+) after (\d+) short runs, the last with exited/7$`)

// TestBackoff: the first restart is at once, then each wait is half as long again; meanwhile the other instance serves
// everybody, and when the fault is mended the instance comes back by itself.
func TestBackoff(t *testing.T) {
	m := workers(t)
	a := crasher(t, m, "b-grow", 8701)
	run := load.Start(t, m, load.Options{URL: a.url("/hello"), Conns: 2, Rate: 200, WorkerHeader: bodies})
	changes := watch(t, m, a.unit(2))
	a.crashes(t, 2)
	seen := await(t, "six runs were short", changes, func(s status) bool {
		return strings.HasPrefix(s.text, "waiting") && strings.Contains(s.text, "after 6 ")
	})
	a.recovers(t, 2)
	await(t, "the instance is back", changes, func(s status) bool { return s.active == "active" })

	var texts []string
	for _, s := range seen {
		if strings.HasPrefix(s.text, "waiting") && !slices.Contains(texts, s.text) {
			texts = append(texts, s.text)
		}
	}
	// No wait after the first two ends, the kill and one short run: series 1 and 2 begin at once and after 100 ms.
	want := time.Duration(0)
	for i, text := range texts {
		w := waiting.FindStringSubmatch(text)
		if w == nil {
			t.Fatalf("the status is %q, want %v", text, waiting)
		}
		d, err := time.ParseDuration(w[1])
		if n, _ := strconv.Atoi(w[2]); err != nil || n != i+2 {
			t.Errorf("wait %d is told as %q", i+1, text)
		}
		if want = max(want*3/2, 100*time.Millisecond); d < want-time.Millisecond || d > want+time.Millisecond {
			t.Errorf("wait %d is %v, want %v", i+1, d, want)
		}
	}
	if len(texts) != 5 {
		t.Errorf("the waits were %q, want those after 2 to 6 short runs", texts)
	}
	r := run.Stop()
	// One kill; after it, the program ends before it takes a connection.
	if err := r.AfterKills(1); err != nil {
		t.Errorf("while one instance crashed: %v\n%v", err, r)
	}
	// More than these when the fault was mended later than within the wait of half a second.
	m.AwaitJournal(t, "starts with failures=6", "-u", a.unit(2))
	got := a.failures(t, 2)
	for i, f := range got {
		if f != fmt.Sprintf("failures=%d", i) {
			t.Errorf("run %d began with %s", i, f)
		}
	}
	if len(got) < 7 {
		t.Errorf("the runs began with %q, want 7 of them at least", got)
	}
	a.everyOne(t, "/hello", hello)
}

// failures are what the state file said at each start of an instance, the oldest first.
func (a *app) failures(t testing.TB, i int) []string {
	t.Helper()
	var all []string
	for _, l := range lines(a.m.Journal(t, "-u", a.unit(i), "-o", "cat")) {
		if f, ok := strings.CutPrefix(l, "starts with "); ok {
			all = append(all, f)
		}
	}
	return all
}

// TestBackoffEverywhere: on each systemd the count is kept as root, with and without the launcher; an end that was asked for clears it; and a file of variables cannot send root elsewhere.
func TestBackoffEverywhere(t *testing.T) {
	for _, r := range lab.All() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			m := machine(t, r)
			m.Sh(t, "mkdir -p /run/elsewhere")
			m.WriteFile(t, srv+"/elsewhere.env", "RUNTIME_DIRECTORY=/run/elsewhere\n", 0o644)
			for i, kind := range []string{"adopt", "native"} {
				// The runs have to be short ones on a busy machine too.
				flags := []string{"--env", "NAME=b-all-" + kind, "--drain-timeout", "2s", "--min-uptime", "1h"}
				if kind == "native" {
					flags = append(flags, "--no-listen", "--ready", "exec", "--env-file", srv+"/elsewhere.env")
				}
				a := install(t, m, "b-all-"+kind, 1, 8711+i, append(flags, port(8711+i, "crash.py")...)...)
				var got []string
				count := func() {
					got = append(got, strings.TrimSpace(m.Sh(t, "grep -s ^failures= /run/clusterctl/"+a.name+"/1.backoff || echo failures=0")))
				}
				count()
				for range 3 {
					// The program alone: from 257 on, "systemctl kill" of the whole unit also kills the commands that follow.
					a.killed(t, 1, func() { m.Sh(t, fmt.Sprintf("kill -KILL %d", m.MainPID(t, a.unit(1)))) })
					count()
				}
				m.Sh(t, "systemctl restart "+a.unit(1))
				count()
				if !slices.Equal(got, []string{"failures=0", "failures=1", "failures=2", "failures=3", "failures=0"}) {
					t.Errorf("%s: the runs began with %q", kind, got)
				}
				if kind == "native" {
					m.AwaitJournal(t, "runtime directory /run/elsewhere", "-u", a.unit(1)) // the program has been sent there
				}
				if left := m.Sh(t, "ls -A /run/elsewhere"); left != "" {
					t.Errorf("%s: root has written to %s", kind, left)
				}
			}
		})
	}
}

// TestMinUptime: a run as long as --min-uptime is not a short one, so the next start never waits.
func TestMinUptime(t *testing.T) {
	m := workers(t)
	a := crasher(t, m, "b-uptime", 8702, "--min-uptime", "1ms")
	for range 5 {
		a.killed(t, 2, func() { m.Sh(t, "systemctl kill -s KILL "+a.unit(2)) })
	}
	m.AwaitJournal(t, "starts with", "-u", a.unit(2), fmt.Sprintf("_PID=%d", m.MainPID(t, a.unit(2))))
	got := a.failures(t, 2)
	if len(got) != 6 || slices.ContainsFunc(got[1:], func(s string) bool { return s != "failures=1" }) {
		t.Errorf("after five kills of long runs, the runs began with %q", got)
	}
}

// TestGivingUp: an instance that gives up says so, and takes nothing from the others; when the last has given up, the
// app is stopped, so that its clients are refused and do not hang.
func TestGivingUp(t *testing.T) {
	m := workers(t)
	before := take(t, m)
	a := crasher(t, m, "b-giveup", 8703, "--max-restarts", "3")
	run := load.Start(t, m, load.Options{URL: a.url("/hello"), Conns: 2, Rate: 200, WorkerHeader: bodies})
	changes := watch(t, m, a.unit(2))
	a.crashes(t, 2)
	// "failed" alone is what a unit is for a moment before each restart, too.
	await(t, "the instance has given up", changes, func(s status) bool { return s.active == "failed" && s.exit == contract.StatusGaveUp })
	r := run.Stop()
	if err := r.AfterKills(1); err != nil {
		t.Errorf("while one instance gave up: %v\n%v", err, r)
	}
	m.AwaitJournal(t, "hint:", "-u", a.unit(2)) // the last line of what it says
	if log := m.Journal(t, "-u", a.unit(2), "-o", "cat"); !strings.Contains(log, "gave up after 3 restarts") || !strings.Contains(log, "exited/7") || !strings.Contains(log, "hint:") {
		t.Errorf("the journal does not say why it gave up:\n%s", log)
	}
	for _, u := range []string{a.name + ".socket", a.name + ".service", a.unit(1)} {
		if s := a.property(t, u, "ActiveState"); s != "active" {
			t.Errorf("one instance has given up, and %s is %s", u, s)
		}
	}
	wantSaid(t, must(t, m, "ls"), "1/2", "degraded")
	wantSaid(t, must(t, m, "show", a.name), "degraded", "gave up")

	// The app as a whole is stopped by a job; its end is the socket's.
	socket := watch(t, m, a.name+".socket")
	a.crashes(t, 1)
	await(t, "the socket is closed", socket, func(s status) bool { return s.active == "inactive" })
	if r := load.Start(t, m, load.Options{URL: a.url("/hello"), Conns: 2, Requests: 20}).Wait(); r.Refused != 20 {
		t.Errorf("all have given up, and clients are not refused: %v", r)
	}
	wantSaid(t, must(t, m, "show", a.name), "gave up")

	a.recovers(t, 1)
	a.recovers(t, 2)
	must(t, m, "reset", a.name)
	must(t, m, "start", a.name)
	a.everyOne(t, "/hello", hello)
	a.uninstall(t)
	m.Sh(t, "rmdir "+srv+"/crash")
	wantNothingLeft(t, m, before)
}
