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

// installCrasher installs two instances of crash.py, which exits at its start if the crash file of its instance exists.
// With --min-uptime 1h, every run counts as short. The parameter flags may contain another --min-uptime.
func installCrasher(t testing.TB, m *kit.Machine, name string, n int, flags ...string) kit.App {
	t.Helper()
	t.Cleanup(func() { m.Sh(t, "rm -rf "+srv+"/crash") })
	m.Sh(t, "mkdir -p "+srv+"/crash")
	args := slices.Concat([]string{"--env", "NAME=" + name, "--drain-timeout", "2s", "--min-uptime", "1h"}, flags, []string{"crash.py"})
	return install(t, m, name, 2, n, portFlags(n, args...)...)
}

// startCrashing creates the crash file of instance i, and kills the instance.
func startCrashing(t testing.TB, a kit.App, i int) {
	t.Helper()
	a.Machine.Sh(t, fmt.Sprintf("touch %s/crash/%s-%d && systemctl kill -s KILL %s", srv, a.Name, i, a.Unit(i)))
}

// stopCrashing deletes the crash file of instance i, so that its next start succeeds.
func stopCrashing(t testing.TB, a kit.App, i int) {
	t.Helper()
	a.Machine.Sh(t, fmt.Sprintf("rm %s/crash/%s-%d", srv, a.Name, i))
}

// waitingStatus matches the StatusText of an instance that waits for its restart.
var waitingStatus = regexp.MustCompile(`^waiting (\S+) after (\d+) short runs, the last with exited/7$`)

// TestBackoff makes one of two instances crash repeatedly. The first restart must be immediate, and each later delay must
// be 1.5 times the previous delay. The other instance must answer all requests. After the crash file is deleted, the
// instance must run again without a command.
func TestBackoff(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	a := installCrasher(t, m, "b-grow", 8701)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 2, Rate: 200, WorkerHeader: bodies})
	changes := kit.DialBus(t, m).Watch(t, a.Unit(2))
	startCrashing(t, a, 2)
	seen := kit.ReadUntil(t, "the status counts six short runs", changes, func(s kit.Status) bool {
		return strings.HasPrefix(s.Text, "waiting") && strings.Contains(s.Text, "after 6 ")
	})
	stopCrashing(t, a, 2)
	kit.ReadUntil(t, "the instance runs again", changes, func(s kit.Status) bool { return s.Active == "active" })

	var texts []string
	for _, s := range seen {
		if strings.HasPrefix(s.Text, "waiting") && !slices.Contains(texts, s.Text) {
			texts = append(texts, s.Text)
		}
	}
	// The restart after the first short run is immediate, so its status is not in the list. The first status in the list
	// counts two short runs and has a delay of 100 ms.
	want := time.Duration(0)
	for i, text := range texts {
		w := waitingStatus.FindStringSubmatch(text)
		if w == nil {
			t.Fatalf("the status is %q, want %v", text, waitingStatus)
		}
		d, err := time.ParseDuration(w[1])
		if n, _ := strconv.Atoi(w[2]); err != nil || n != i+2 {
			t.Errorf("the status of delay %d is %q, want a count of %d short runs", i+1, text, i+2)
		}
		if want = max(want*3/2, 100*time.Millisecond); d < want-time.Millisecond || d > want+time.Millisecond {
			t.Errorf("delay %d is %v, want %v", i+1, d, want)
		}
	}
	if len(texts) != 5 {
		t.Errorf("got the statuses %q, want five, after 2 to 6 short runs", texts)
	}
	r := run.Stop()
	// Only the kill may cause lost requests, because the later runs exit before they accept a connection.
	if err := r.AfterKills(1); err != nil {
		t.Errorf("requests were lost while one instance crashed: %v\n%v", err, r)
	}
	// There are more than seven runs if the program was started again before the test deleted the crash file.
	m.AwaitJournal(t, "starts with failures=6", "-u", a.Unit(2))
	got := failures(t, a, 2)
	for i, f := range got {
		if f != fmt.Sprintf("failures=%d", i) {
			t.Errorf("run %d began with %s, want failures=%d", i, f, i)
		}
	}
	if len(got) < 7 {
		t.Errorf("got %d runs with the counts %q, want at least 7 runs", len(got), got)
	}
	wantAllAnswer(t, a, "/hello", hello)
}

// The function failures returns one text "failures=N" for each start of an instance, in the order of the starts. N is
// the number of failures in the backoff file, which the program prints at its start.
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

// TestBackoffOnEachSystemd counts the failures of an adopted and of a native app with each version of systemd. A manual
// restart must reset the count. The variable RUNTIME_DIRECTORY in an environment file must not change the directory of
// the backoff file. Otherwise root would write the file into a directory that the app chooses.
func TestBackoffOnEachSystemd(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "mkdir -p /run/elsewhere")
		m.WriteFile(t, srv+"/elsewhere.env", "RUNTIME_DIRECTORY=/run/elsewhere\n", 0o644)
		for i, kind := range []string{"adopt", "native"} {
			// With --min-uptime 1h, all runs count as short.
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
				// Kill only the program. Since systemd 257, "systemctl kill" also kills the commands of ExecStopPost=.
				awaitReplacement(t, a, 1, func() { m.Sh(t, fmt.Sprintf("kill -KILL %d", m.MainPID(t, a.Unit(1)))) })
				count()
			}
			m.Sh(t, "systemctl restart "+a.Unit(1))
			count()
			if !slices.Equal(got, []string{"failures=0", "failures=1", "failures=2", "failures=3", "failures=0"}) {
				t.Errorf("%s: got the counts %q, want 0, 1, 2 and 3 failures, and 0 after a manual restart", kind, got)
			}
			if kind == "native" {
				// The program has the variable of the environment file.
				m.AwaitJournal(t, "runtime directory /run/elsewhere", "-u", a.Unit(1))
			}
			if files := m.Sh(t, "ls -A /run/elsewhere"); files != "" {
				t.Errorf("%s: files exist in the directory that the environment file names: %s", kind, files)
			}
		}
	})
}

// TestMinUptime kills an instance five times after runs that are longer than --min-uptime. These runs must not count as
// short.
func TestMinUptime(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	a := installCrasher(t, m, "b-uptime", 8702, "--min-uptime", "1ms")
	for range 5 {
		awaitReplacement(t, a, 2, func() { m.Sh(t, "systemctl kill -s KILL "+a.Unit(2)) })
	}
	m.AwaitJournal(t, "starts with", "-u", a.Unit(2), fmt.Sprintf("_PID=%d", m.MainPID(t, a.Unit(2))))
	got := failures(t, a, 2)
	if len(got) != 6 || slices.ContainsFunc(got[1:], func(s string) bool { return s != "failures=1" }) {
		t.Errorf("got the counts %q, want six runs, and failures=1 for all except the first", got)
	}
}

// TestGivingUp makes the instances of an app crash until they have reached --max-restarts. The first instance that gives
// up must log the reason and must not affect the other instance. After the last instance has given up, the app must be
// stopped, so that connections are refused and do not wait in the queue.
func TestGivingUp(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	a := installCrasher(t, m, "b-giveup", 8703, "--max-restarts", "3")
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 2, Rate: 200, WorkerHeader: bodies})
	changes := kit.DialBus(t, m).Watch(t, a.Unit(2))
	startCrashing(t, a, 2)
	// The state failed is not sufficient, because a unit is also in this state for a moment before each restart.
	kit.ReadUntil(t, "the instance has given up", changes,
		func(s kit.Status) bool { return s.Active == "failed" && s.Exit == contract.StatusGaveUp })
	r := run.Stop()
	if err := r.AfterKills(1); err != nil {
		t.Errorf("requests were lost while one instance gave up: %v\n%v", err, r)
	}
	m.AwaitJournal(t, "hint:", "-u", a.Unit(2)) // the last line of the message
	if log := m.Journal(t, "-u", a.Unit(2), "-o", "cat"); !strings.Contains(log, "gave up after 3 restarts") ||
		!strings.Contains(log, "exited/7") || !strings.Contains(log, "hint:") {
		t.Errorf("the journal does not contain the number of restarts, the last exit and a hint:\n%s", log)
	}
	for _, u := range []string{a.Name + ".socket", a.Name + ".service", a.Unit(1)} {
		if s := a.Machine.Property(t, u, "ActiveState"); s != "active" {
			t.Errorf("%s is %s after one instance has given up, want active", u, s)
		}
	}
	kit.WantOutput(t, m.Must(t, "ls"), "1/2", "degraded")
	kit.WantOutput(t, m.Must(t, "show", a.Name), "degraded", "gave up")

	// After the last instance has given up, a job stops the whole app. The job has finished when the socket is closed.
	socket := kit.DialBus(t, m).Watch(t, a.Name+".socket")
	startCrashing(t, a, 1)
	kit.ReadUntil(t, "the socket is closed", socket, func(s kit.Status) bool { return s.Active == "inactive" })
	if r := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 2, Requests: 20}).Wait(); r.Refused != 20 {
		t.Errorf("all instances have given up: want 20 refused requests: %v", r)
	}
	kit.WantOutput(t, m.Must(t, "show", a.Name), "gave up")

	stopCrashing(t, a, 1)
	stopCrashing(t, a, 2)
	m.Must(t, "reset", a.Name)
	m.Must(t, "start", a.Name)
	wantAllAnswer(t, a, "/hello", hello)
	a.Uninstall(t)
	m.Sh(t, "rmdir "+srv+"/crash")
	wantInventory(t, m, before)
}
