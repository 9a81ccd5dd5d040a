package backoff

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

const s = time.Second

var policy = Policy{MinUptime: 10 * s, MaxRestarts: -1}

// playRun returns the state and the decision after a run of an instance that starts at the time now, lasts for the time
// uptime and ends with the exit e.
func playRun(t *testing.T, st State, p Policy, now, uptime time.Duration, stop Stop, e Exit) (State, Decision) {
	t.Helper()
	st, d := Plan(st, p, now)
	if d.GiveUp {
		return st, d
	}
	st.Started = now + d.Delay
	st.Stop = stop
	return Ended(st, p, e, st.Started+uptime), d
}

func TestSeries(t *testing.T) {
	crash := Exit{Result: "exit-code", Code: "exited", Status: "1", HasExecStop: true}
	var st State
	now := 100 * s
	want := []time.Duration{0, 0, 100, 150, 225, 337}
	for i, w := range want {
		var d Decision
		st, d = playRun(t, st, policy, now, s, ByItself, crash)
		if d.Delay.Truncate(time.Millisecond) != w*time.Millisecond {
			t.Errorf("start %d: delay %v, want %v ms", i, d.Delay, int(w))
		}
		now += 2 * s
	}
	if st.Status != "exited/1" || st.Result != "exit-code" || st.Uptime != s {
		t.Errorf("state %+v, want the status, the result and the uptime of the last run", st)
	}
	// A long run ends the series of short runs, and is the first run of the next series.
	st, _ = playRun(t, st, policy, now, 10*s, ByItself, crash)
	if st.Failures != 1 {
		t.Errorf("state after a long run: %+v, want 1 failure", st)
	}
}

func TestRequestedEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		stop Stop
		e    Exit
		want int // number of failures after the run, if there were 5 before it
	}{
		{"crash", ByItself, Exit{"exit-code", "exited", "1", true, false}, 6},
		{"segfault", ByItself, Exit{"core-dump", "dumped", "SEGV", true, false}, 6},
		{"killed by the kernel", ByItself, Exit{"oom-kill", "killed", "KILL", true, false}, 6},
		{"exits with 0", ByItself, Exit{"success", "exited", "0", true, false}, 6},
		{"exits with 0, no ExecStop=", NotRecorded, Exit{"success", "exited", "0", false, false}, 6},
		{"never ready", NotRecorded, Exit{"protocol", "exited", "0", true, false}, 6},
		{"start timed out", NotRecorded, Exit{"timeout", "killed", "TERM", true, false}, 6},
		{"stopped by hand", Requested, Exit{"success", "killed", "TERM", true, false}, 0},
		{"stopped by hand, handles SIGTERM", Requested, Exit{"success", "exited", "0", true, false}, 0},
		{"stopped by hand, exits with 1", Requested, Exit{"exit-code", "exited", "1", true, false}, 0},
		{"stopped by hand, killed after the timeout", Requested, Exit{"timeout", "killed", "KILL", true, false}, 0},
		{"stopped before ready", NotRecorded, Exit{"success", "killed", "TERM", true, false}, 0},
		{"stopped before ready, handles SIGTERM", NotRecorded, Exit{"success", "exited", "0", true, false}, 0},
		{"killed with SIGTERM by a user", ByItself, Exit{"success", "killed", "TERM", true, false}, 6},
	} {
		st := Ended(State{Failures: 5, Started: 100 * s, Stop: c.stop}, policy, c.e, 101*s)
		if st.Failures != c.want {
			t.Errorf("%s: %d failures, want %d", c.name, st.Failures, c.want)
		}
		if st.Started != 0 {
			t.Errorf("%s: the state still has the start of the run", c.name)
		}
	}
}

// TestRunWithoutStart: if the shim could not record the start, because it does not run as root, the run counts from the
// end of the delay.
func TestRunWithoutStart(t *testing.T) {
	crash := Exit{Result: "exit-code", Code: "exited", Status: "1", HasExecStop: true}
	s := Ended(State{}, policy, crash, 100*s)
	for i, now := range []time.Duration{101, 102, 103} {
		if s = Ended(s, policy, crash, now*time.Second); s.Failures != i+2 || s.Next != now*time.Second+contract.Delay(s.Failures) {
			t.Errorf("state after a short run: %+v, want %d failures", s, i+2)
		}
	}
	if s = Ended(s, policy, crash, 200*time.Second); s.Failures != 1 || s.Uptime < 90*time.Second {
		t.Errorf("state after a long run: %+v, want 1 failure", s)
	}
	if s = Ended(s, policy, Exit{Result: "success", Code: "killed", Status: "TERM"}, 201*time.Second); s != (State{}) {
		t.Errorf("state after a requested stop: %+v, want the zero State", s)
	}
}

// TestRunWithoutEnd: Plan counts the last run if ExecStopPost= was killed or is missing.
func TestRunWithoutEnd(t *testing.T) {
	st, d := Plan(State{Failures: 3, Started: 100 * s}, policy, 101*s)
	if st.Failures != 4 || d.Delay != 225*time.Millisecond {
		t.Errorf("after a short run: %+v, %+v, want 4 failures and a delay of 225 ms", st, d)
	}
	st, d = Plan(State{Failures: 3, Started: 100 * s}, policy, 200*s)
	if st.Failures != 1 || d.Delay != 0 {
		t.Errorf("after a long run: %+v, %+v, want 1 failure and no delay", st, d)
	}
	st, d = Plan(State{Failures: 3, Started: 100 * s, Stop: Requested}, policy, 101*s)
	if st.Failures != 0 || d.Delay != 0 {
		t.Errorf("after a requested stop: %+v, %+v, want no failures and no delay", st, d)
	}
}

func TestGivingUp(t *testing.T) {
	p := Policy{MinUptime: 10 * s, MaxRestarts: 2}
	crash := Exit{Result: "exit-code", Code: "exited", Status: "1", HasExecStop: true}
	var st State
	var d Decision
	for i := range 3 {
		if st, d = playRun(t, st, p, s, s, ByItself, crash); d.GiveUp {
			t.Fatalf("gave up at start %d", i)
		}
	}
	if st, d = playRun(t, st, p, s, s, ByItself, crash); !d.GiveUp || !st.GaveUp {
		t.Fatalf("did not give up after two restarts: %+v", st)
	}
	// When the shim has given up, ExecStopPost= must not clear the state, which clusterctl shows to the user.
	st = Ended(st, p, Exit{"exit-code", "exited", "252", true, true}, 9*s)
	if !st.GaveUp || st.Status != "exited/1" {
		t.Errorf("Ended has changed the state of an instance that gave up: %+v", st)
	}
	if st, d = Plan(st, p, 9*s); d.GiveUp || d.Delay != 0 || st.Failures != 0 {
		t.Errorf("start by hand after giving up: %+v, %+v, want no failures and no delay", st, d)
	}
	if _, d = Plan(State{Failures: 1}, Policy{MinUptime: s, MaxRestarts: 0}, s); !d.GiveUp {
		t.Error("MaxRestarts 0 allows a restart")
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir() + "/1"
	if got := Load(dir); got != (State{}) {
		t.Errorf("Load without a file: %+v", got)
	}
	want := State{Failures: 3, Started: 5 * s, Next: 6 * s, Stop: ByItself, GaveUp: true, Uptime: 7,
		Result: "exit-code", Status: "exited/1"}
	if err := Save(dir, want); err != nil {
		t.Fatal(err)
	}
	if got := Load(dir); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestDamagedFile: if the state file is damaged, Load returns the zero State, and Save replaces the file.
func TestDamagedFile(t *testing.T) {
	good := string(State{Failures: 9}.encode())
	for name, content := range map[string]string{
		"empty": "", "torn": good[:len(good)-3], "binary": "\x00\xff\x00", "other version": strings.Replace(good, "1", "2", 1),
		"huge number": strings.Replace(good, "failures=9", "failures=99999999999999999999", 1),
		"negative":    strings.Replace(good, "failures=9", "failures=-9", 1),
		"too long":    good + strings.Repeat("x", 8192),
	} {
		dir := t.TempDir() + "/1"
		if err := os.WriteFile(dir+contract.BackoffSuffix, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Load(dir); got != (State{}) {
			t.Errorf("Load of a file with %s: %+v", name, got)
		}
		if err := Save(dir, State{Failures: 1}); err != nil || Load(dir).Failures != 1 {
			t.Errorf("Save over a file with %s: %v", name, err)
		}
	}
	dir := t.TempDir() + "/1"
	if err := syscall.Mkfifo(dir+contract.BackoffSuffix, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Load(dir); got != (State{}) {
		t.Errorf("Load of a FIFO: %+v, want the zero State", got)
	}
	if err := os.WriteFile(dir+contract.BackoffSuffix+contract.NewSuffix, []byte("left over"), 0); err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, State{Failures: 1}); err != nil || Load(dir).Failures != 1 {
		t.Errorf("Save with a left-over file of a killed writer: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(State{Failures: 3, Started: 5, Stop: Requested, Result: "exit-code"}.encode())
	f.Add([]byte(magic + "end\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, ok := decode(b)
		if !ok {
			return
		}
		if again, ok := decode(st.encode()); !ok || again != st {
			t.Fatalf("decode(encode()) of the state %+v = %+v, want the same state", st, again)
		}
		if _, d := Plan(st, policy, s); d.Delay < 0 || d.Delay > contract.MaxDelay {
			t.Fatalf("state %+v: delay %v is longer than MaxDelay", st, d.Delay)
		}
	})
}

func TestWait(t *testing.T) {
	if sig, stopped := Wait(time.Millisecond); stopped {
		t.Errorf("Wait was stopped by %v", sig)
	}
}
