package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
)

// inUnit runs a subcommand with the environment that systemd gives to a unit's commands, and with the flag that our units
// have for those that run beside the program.
func inUnit(t *testing.T, dir string, env []string, args ...string) (int, string) {
	t.Helper()
	runtime := dir
	if args[0] != "run" {
		args = slices.Insert(slices.Clone(args), 1, "--state="+dir)
		runtime = "/nowhere" // whatever an EnvironmentFile= says
	}
	cmd := exec.Command(shim, args...)
	cmd.Env = append(append(os.Environ(), "RUNTIME_DIRECTORY="+runtime), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestSeriesOfRuns goes through the lives of an instance as systemd would call them.
func TestSeriesOfRuns(t *testing.T) {
	dir := t.TempDir()
	crash := []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7"}
	run := []string{"run", "--backoff", "--max-restarts", "2", "--", "/bin/sh", "-c", "exit 7"}
	for i := range 3 {
		if code, out := inUnit(t, dir, nil, run...); code != 7 || out != "" {
			t.Fatalf("run %d: %d %q", i, code, out)
		}
		inUnit(t, dir, nil, "stopping") // ExecStop= after a crash: no MAINPID
		if code, out := inUnit(t, dir, crash, "stopped", "--exec-stop"); code != 0 || out != "" {
			t.Fatalf("stopped: %d %q", code, out)
		}
		if s := backoff.Load(dir); s.Failures != i+1 || s.Status != "exited/7" {
			t.Errorf("after run %d: %+v", i, s)
		}
	}
	code, out := inUnit(t, dir, nil, run...)
	if code != exitGaveUp || !strings.Contains(out, "gave up after 2 restarts") || !strings.Contains(out, "exited/7") || !strings.Contains(out, "hint: ") {
		t.Errorf("%d %q", code, out)
	}
	inUnit(t, dir, []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=252"}, "stopped", "--exec-stop")
	if s := backoff.Load(dir); !s.GaveUp {
		t.Errorf("giving up is not kept: %+v", s)
	}
	// Only a person starts it again, and does not wait.
	if code, out := inUnit(t, dir, nil, run...); code != 7 || out != "" {
		t.Errorf("%d %q", code, out)
	}
	// A stop that was asked for ends the series.
	inUnit(t, dir, []string{"MAINPID=1"}, "stopping")
	inUnit(t, dir, crash, "stopped", "--exec-stop")
	if s := backoff.Load(dir); s.Failures != 0 {
		t.Errorf("%+v", s)
	}
}

// A stop during the wait ends it at once, by the signal, and the series with it.
func TestStopDuringTheWait(t *testing.T) {
	dir := t.TempDir()
	if err := backoff.Save(dir, backoff.State{Failures: 40}); err != nil {
		t.Fatal(err)
	}
	w := startCommand(t, nil, []string{"RUNTIME_DIRECTORY=" + dir}, shim, "run", "--backoff", "--", "/bin/true")
	var b [512]byte
	if err := w.ready.SetReadDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	n, err := w.ready.Read(b[:])
	if got := string(b[:n]); err != nil || got != "STATUS=waiting 30s after 40 short runs, the last with \nEXTEND_TIMEOUT_USEC=90000000" {
		t.Errorf("%q %v", got, err)
	}
	// The message is sent before the signals are caught: until they are, SIGTERM
	// just ends the launcher, and ExecStopPost= clears the series.
	w.stop(t)
	inUnit(t, dir, []string{"SERVICE_RESULT=success", "EXIT_CODE=killed", "EXIT_STATUS=TERM"}, "stopped", "--exec-stop")
	if s := backoff.Load(dir); s.Failures != 0 {
		t.Errorf("%+v", s)
	}
}

// Who runs as root beside the program does not look where the program's environment says.
func TestStateIsNotTheEnvironments(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("it is about what root does: sudo make test")
	}
	for _, args := range [][]string{{"wait"}, {"stopping"}, {"stopped"}, {"drain"}} {
		dir := t.TempDir()
		cmd := exec.Command(shim, args...)
		cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+dir, "SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7")
		out, _ := cmd.CombinedOutput() // two of them say that there is nothing to do without a directory
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v: %v %v %s", args, left, err, out)
		}
	}
}

// Whatever the state is, the program starts.
func TestStateNeverStopsAStart(t *testing.T) {
	for _, dir := range []string{t.TempDir() + "/gone", "/proc"} {
		code, out := inUnit(t, dir, nil, "run", "--backoff", "--", "/bin/sh", "-c", "exit 7")
		if code != 7 || !strings.HasPrefix(out, "clusterctl-shim: backoff: ") {
			t.Errorf("%s: %d %q", dir, code, out)
		}
	}
}
