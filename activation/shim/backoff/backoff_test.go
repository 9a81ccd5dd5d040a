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

// life runs one life of an instance: start at now, up for uptime, the end e.
func life(t *testing.T, st State, p Policy, now, uptime time.Duration, stop Stop, e Exit) (State, Decision) {
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
	crash := Exit{Result: "exit-code", Code: "exited", Status: "1", Noted: true}
	var st State
	now := 100 * s
	want := []time.Duration{0, 0, 100, 150, 225, 337}
	for i, w := range want {
		var d Decision
		st, d = life(t, st, policy, now, s, Alone, crash)
		if d.Delay.Truncate(time.Millisecond) != w*time.Millisecond {
			t.Errorf("start %d: delay %v, want %v ms", i, d.Delay, int(w))
		}
		now += 2 * s
	}
	if st.Status != "exited/1" || st.Result != "exit-code" || st.Uptime != s {
		t.Errorf("not told to people: %+v", st)
	}
	// A long run ends the series; its own end is the first of the next.
	st, _ = life(t, st, policy, now, 10*s, Alone, crash)
	if st.Failures != 1 {
		t.Errorf("after a long run: %+v", st)
	}
}

func TestWhoAskedForTheEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		stop Stop
		e    Exit
		want int // failures after 5 before
	}{
		{"crash", Alone, Exit{"exit-code", "exited", "1", true, false}, 6},
		{"segfault", Alone, Exit{"core-dump", "dumped", "SEGV", true, false}, 6},
		{"killed by the kernel", Alone, Exit{"oom-kill", "killed", "KILL", true, false}, 6},
		{"ends by itself with 0", Alone, Exit{"success", "exited", "0", true, false}, 6},
		{"ends by itself with 0, no ExecStop", Unnoted, Exit{"success", "exited", "0", false, false}, 6},
		{"never ready", Unnoted, Exit{"protocol", "exited", "0", true, false}, 6},
		{"start timed out", Unnoted, Exit{"timeout", "killed", "TERM", true, false}, 6},
		{"stopped by hand", Asked, Exit{"success", "killed", "TERM", true, false}, 0},
		{"stopped by hand, handles SIGTERM", Asked, Exit{"success", "exited", "0", true, false}, 0},
		{"stopped by hand, exits with 1", Asked, Exit{"exit-code", "exited", "1", true, false}, 0},
		{"stopped by hand, too slow", Asked, Exit{"timeout", "killed", "KILL", true, false}, 0},
		{"stopped before ready", Unnoted, Exit{"success", "killed", "TERM", true, false}, 0},
		{"stopped before ready, handles SIGTERM", Unnoted, Exit{"success", "exited", "0", true, false}, 0},
		{"somebody's kill", Alone, Exit{"success", "killed", "TERM", true, false}, 6},
	} {
		st := Ended(State{Failures: 5, Started: 100 * s, Stop: c.stop}, policy, c.e, 101*s)
		if st.Failures != c.want {
			t.Errorf("%s: %d failures, want %d", c.name, st.Failures, c.want)
		}
		if st.Started != 0 {
			t.Errorf("%s: the run is still under way", c.name)
		}
	}
}

// A launcher without the right to write notes no start: the run counts from when it was due.
func TestRunThatNobodyNoted(t *testing.T) {
	crash := Exit{Result: "exit-code", Code: "exited", Status: "1", Noted: true}
	s := Ended(State{}, policy, crash, 100*s)
	for i, now := range []time.Duration{101, 102, 103} {
		if s = Ended(s, policy, crash, now*time.Second); s.Failures != i+2 || s.Next != now*time.Second+contract.Delay(s.Failures) {
			t.Errorf("%+v", s)
		}
	}
	if s = Ended(s, policy, crash, 200*time.Second); s.Failures != 1 || s.Uptime < 90*time.Second {
		t.Errorf("a long run: %+v", s)
	}
	if s = Ended(s, policy, Exit{Result: "success", Code: "killed", Status: "TERM"}, 201*time.Second); s != (State{}) {
		t.Errorf("asked for: %+v", s)
	}
}

// Nobody judged the run: everything was killed, or the unit has no ExecStopPost=.
func TestUnjudgedRun(t *testing.T) {
	st, d := Plan(State{Failures: 3, Started: 100 * s}, policy, 101*s)
	if st.Failures != 4 || d.Delay != 225*time.Millisecond {
		t.Errorf("short: %+v %+v", st, d)
	}
	st, d = Plan(State{Failures: 3, Started: 100 * s}, policy, 200*s)
	if st.Failures != 1 || d.Delay != 0 {
		t.Errorf("long: %+v %+v", st, d)
	}
	st, d = Plan(State{Failures: 3, Started: 100 * s, Stop: Asked}, policy, 101*s)
	if st.Failures != 0 || d.Delay != 0 {
		t.Errorf("asked for: %+v %+v", st, d)
	}
}

func TestGivingUp(t *testing.T) {
	p := Policy{MinUptime: 10 * s, MaxRestarts: 2}
	crash := Exit{Result: "exit-code", Code: "exited", Status: "1", Noted: true}
	var st State
	var d Decision
	for i := range 3 {
		if st, d = life(t, st, p, s, s, Alone, crash); d.GiveUp {
			t.Fatalf("gave up at start %d", i)
		}
	}
	if st, d = life(t, st, p, s, s, Alone, crash); !d.GiveUp || !st.GaveUp {
		t.Fatalf("did not give up after two restarts: %+v", st)
	}
	// ExecStopPost= of the launcher that gave up must not clear it: people look.
	st = Ended(st, p, Exit{"exit-code", "exited", "252", true, true}, 9*s)
	if !st.GaveUp || st.Status != "exited/1" {
		t.Errorf("%+v", st)
	}
	if st, d = Plan(st, p, 9*s); d.GiveUp || d.Delay != 0 || st.Failures != 0 {
		t.Errorf("start by hand after giving up: %+v %+v", st, d)
	}
	if _, d = Plan(State{Failures: 1}, Policy{MinUptime: s, MaxRestarts: 0}, s); !d.GiveUp {
		t.Error("MaxRestarts 0 allows a restart")
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir() + "/1"
	if got := Load(dir); got != (State{}) {
		t.Errorf("no file: %+v", got)
	}
	want := State{Failures: 3, Started: 5 * s, Next: 6 * s, Stop: Alone, GaveUp: true, Uptime: 7, Result: "exit-code", Status: "exited/1"}
	if err := Save(dir, want); err != nil {
		t.Fatal(err)
	}
	if got := Load(dir); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Whatever lies where the state should be, a start goes on and the next state is kept.
func TestDamagedFile(t *testing.T) {
	good := string(State{Failures: 9}.Encode())
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
			t.Errorf("%s: %+v", name, got)
		}
		if err := Save(dir, State{Failures: 1}); err != nil || Load(dir).Failures != 1 {
			t.Errorf("%s: saving over it: %v", name, err)
		}
	}
	dir := t.TempDir() + "/1"
	if err := syscall.Mkfifo(dir+contract.BackoffSuffix, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Load(dir); got != (State{}) {
		t.Errorf("a FIFO: %+v", got)
	}
	if err := os.WriteFile(dir+contract.BackoffSuffix+contract.NewSuffix, []byte("left over"), 0); err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, State{Failures: 1}); err != nil || Load(dir).Failures != 1 {
		t.Errorf("left-over of a killed writer: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(State{Failures: 3, Started: 5, Stop: Asked, Result: "exit-code"}.Encode())
	f.Add([]byte(magic + "end\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, ok := Decode(b)
		if !ok {
			return
		}
		if again, ok := Decode(st.Encode()); !ok || again != st {
			t.Fatalf("%+v became %+v", st, again)
		}
		if _, d := Plan(st, policy, s); d.Delay < 0 || d.Delay > contract.MaxDelay {
			t.Fatalf("%+v: delay %v", st, d.Delay)
		}
	})
}

func TestWait(t *testing.T) {
	if sig, stopped := Wait(time.Millisecond); stopped {
		t.Errorf("stopped by %v", sig)
	}
}
