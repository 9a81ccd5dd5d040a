package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// inUnit runs a subcommand like a command of a unit: with the environment of systemd, and with --state.
func inUnit(t *testing.T, instance string, env []string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(shim, slices.Insert(slices.Clone(args), 1, "--state="+instance)...)
	cmd.Env = append(append(os.Environ(), "RUNTIME_DIRECTORY=/nowhere"), env...) // an EnvironmentFile= may set this
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestSeriesOfRuns: the subcommands that systemd calls for several runs of an instance count its short runs, and give up.
func TestSeriesOfRuns(t *testing.T) {
	dir := t.TempDir() + "/app/1"
	crash := []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7"}
	run := []string{"run", "--max-restarts", "2", "--", "/bin/sh", "-c", "exit 7"}
	// ExecStartPre= of an app with --max-restarts.
	wait := func() {
		t.Helper()
		if code, out := inUnit(t, dir, nil, "wait", "--max-restarts", "2"); code != 0 || out != "" {
			t.Fatalf("wait ended with %d, %q", code, out)
		}
	}
	for i := range 3 {
		wait()
		if code, out := inUnit(t, dir, nil, run...); code != 7 || out != "" {
			t.Fatalf("run %d ended with %d, %q", i, code, out)
		}
		inUnit(t, dir, nil, "stopping") // ExecStop= after a crash: no MAINPID
		if code, out := inUnit(t, dir, crash, "stopped", "--exec-stop"); code != 0 || out != "" {
			t.Fatalf("stopped ended with %d, %q", code, out)
		}
		if s := backoff.Load(dir); s.Failures != i+1 || s.Status != "exited/7" {
			t.Errorf("state after run %d: %+v", i, s)
		}
	}
	wait()
	code, out := inUnit(t, dir, nil, run...)
	if code != contract.StatusGaveUp || !strings.Contains(out, "gave up after 2 restarts") ||
		!strings.Contains(out, "exited/7") || !strings.Contains(out, "hint: ") {
		t.Errorf("run after too many short runs ended with %d, %q", code, out)
	}
	inUnit(t, dir, []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=252"}, "stopped", "--exec-stop")
	if s := backoff.Load(dir); !s.GaveUp {
		t.Errorf("the state does not show that the instance gave up: %+v", s)
	}
	// A start by hand does not wait.
	wait()
	if code, out := inUnit(t, dir, nil, run...); code != 7 || out != "" {
		t.Errorf("a start by hand ended with %d, %q", code, out)
	}
	// A requested stop ends the series.
	inUnit(t, dir, []string{"MAINPID=1"}, "stopping")
	inUnit(t, dir, crash, "stopped", "--exec-stop")
	if s := backoff.Load(dir); s.Failures != 0 {
		t.Errorf("state after a requested stop: %+v", s)
	}
}

// TestStopDuringTheWait: a stop during the wait ends the launcher at once, by the signal, and ends the series.
func TestStopDuringTheWait(t *testing.T) {
	instance := t.TempDir() + "/app/1"
	inUnit(t, instance, nil, "stopping") // makes the directory
	if err := backoff.Save(instance, backoff.State{Failures: 40}); err != nil {
		t.Fatal(err)
	}
	w := startCommand(t, nil, nil, shim, "run", "--state="+instance, "--backoff", "--", "/bin/true")
	var b [512]byte
	if err := w.ready.SetReadDeadline(time.Now().Add(patience.For(bound))); err != nil {
		t.Fatal(err)
	}
	n, err := w.ready.Read(b[:])
	if got := string(b[:n]); err != nil || got != "STATUS=waiting 30s after 40 short runs, the last with \nEXTEND_TIMEOUT_USEC=90000000" {
		t.Errorf("the message to systemd is %q, %v", got, err)
	}
	// The launcher sends the message before it handles signals, so SIGTERM may end it by the default action. In both cases
	// ExecStopPost= ends the series.
	w.stop(t)
	inUnit(t, instance, []string{"SERVICE_RESULT=success", "EXIT_CODE=killed", "EXIT_STATUS=TERM"}, "stopped", "--exec-stop")
	if s := backoff.Load(instance); s.Failures != 0 {
		t.Errorf("state after a stop during the wait: %+v", s)
	}
}

// TestStateIgnoresEnvironment: commands that run as root do not use a directory from the environment of the program.
func TestStateIgnoresEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: sudo make test")
	}
	for _, args := range [][]string{{"wait"}, {"stopping"}, {"stopped"}, {"drain"}} {
		dir := t.TempDir()
		cmd := exec.Command(shim, args...)
		cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+dir, "SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7")
		out, _ := cmd.CombinedOutput() // two of them fail without --state
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v: wrote to the directory of the environment: %v %v %s", args, left, err, out)
		}
	}
}

// TestUnwritableState: the program starts even if the state cannot be written.
func TestUnwritableState(t *testing.T) {
	for _, instance := range []string{"/proc/app/1", t.TempDir() + "/a file/app/1"} {
		if err := os.WriteFile(strings.TrimSuffix(instance, "/app/1"), nil, 0o644); err != nil && !strings.HasPrefix(instance, "/proc") {
			t.Fatal(err)
		}
		if code, out := inUnit(t, instance, nil, "wait"); code != 0 || !strings.HasPrefix(out, "clusterctl-shim: backoff: ") {
			t.Errorf("state %s: wait ended with %d, %q", instance, code, out)
		}
		if code, out := inUnit(t, instance, nil, "run", "--", "/bin/sh", "-c", "exit 7"); code != 7 || out != "" {
			t.Errorf("state %s: run ended with %d, %q", instance, code, out)
		}
	}
}

// TestOldDirectory: the commands that run as root remove the directory that an earlier version gave to the user of the
// app, unless the program runs. They do not follow a link with which that user has replaced the directory.
func TestOldDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: sudo make test")
	}
	for _, args := range [][]string{{"wait"}, {"stopping"}, {"stopped"}, {"drain"}} {
		atStop := args[0] == "stopping" || args[0] == "drain"
		dir := t.TempDir()
		instance, elsewhere := dir+"/app/1", dir+"/elsewhere"
		for _, d := range []string{dir + "/app", elsewhere} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, make := range map[string]func() error{
			"a link": func() error { return os.Symlink(elsewhere, instance) },
			"a directory": func() error {
				return errors.Join(os.Mkdir(instance, 0o777), os.Symlink(elsewhere, instance+"/backoff"))
			},
		} {
			if err := make(); err != nil {
				t.Fatal(err)
			}
			inUnit(t, instance, []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7"}, args...)
			if _, err := os.Lstat(instance); errors.Is(err, fs.ErrNotExist) == atStop {
				t.Errorf("%v: %s exists: %v, want %v", args, name, err == nil, atStop)
			}
			if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
				t.Errorf("%v: the shim followed %s: %v %v", args, name, left, err)
			}
			if err := os.RemoveAll(instance); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOldUnits: an old unit, which has RUNTIME_DIRECTORY= and not --state, uses the state that root keeps.
func TestOldUnits(t *testing.T) {
	instance := t.TempDir() + "/app/1"
	for range 4 {
		inUnit(t, instance, []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7"}, "stopped", "--exec-stop")
	}
	cmd := exec.Command(shim, "run", "--backoff", "--max-restarts=3", "--", "/bin/true")
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+instance)
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != contract.StatusGaveUp {
		t.Errorf("the shim ended with %v: %s", cmd.ProcessState, out)
	}
}
