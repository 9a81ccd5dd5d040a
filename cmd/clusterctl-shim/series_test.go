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

// inUnit runs a subcommand with --state and the variables env, like a unit, and returns the exit status and the output.
func inUnit(t *testing.T, instance string, env []string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(shim, slices.Insert(slices.Clone(args), 1, "--state="+instance)...)
	// RUNTIME_DIRECTORY, which an EnvironmentFile= may set, must have no effect.
	cmd.Env = append(append(os.Environ(), "RUNTIME_DIRECTORY=/nowhere"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestSeriesOfRuns: the subcommands count the short runs of an instance. After too many short runs, "run" gives up.
func TestSeriesOfRuns(t *testing.T) {
	dir := t.TempDir() + "/app/1"
	crash := []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7"}
	run := []string{"run", "--max-restarts", "2", "--", "/bin/sh", "-c", "exit 7"}
	// ExecStartPre= of an app with --max-restarts.
	wait := func() {
		t.Helper()
		if code, out := inUnit(t, dir, nil, "wait", "--max-restarts", "2"); code != 0 || out != "" {
			t.Fatalf("wait ended with %d, %q, want 0 and no output", code, out)
		}
	}
	for i := range 3 {
		wait()
		if code, out := inUnit(t, dir, nil, run...); code != 7 || out != "" {
			t.Fatalf("run %d ended with %d, %q, want 7 and no output", i, code, out)
		}
		inUnit(t, dir, nil, "stopping") // ExecStop= after a crash, without MAINPID
		if code, out := inUnit(t, dir, crash, "stopped", "--exec-stop"); code != 0 || out != "" {
			t.Fatalf("stopped ended with %d, %q, want 0 and no output", code, out)
		}
		if s := backoff.Load(dir); s.Failures != i+1 || s.Status != "exited/7" {
			t.Errorf("the state after run %d is %+v, want %d failures and the status exited/7", i, s, i+1)
		}
	}
	wait()
	code, out := inUnit(t, dir, nil, run...)
	if code != contract.StatusGaveUp || !strings.Contains(out, "gave up after 2 restarts") ||
		!strings.Contains(out, "exited/7") || !strings.Contains(out, "hint: ") {
		t.Errorf("run after too many short runs ended with %d, %q, want %d and the reason", code, out, contract.StatusGaveUp)
	}
	inUnit(t, dir, []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=252"}, "stopped", "--exec-stop")
	if s := backoff.Load(dir); !s.GaveUp {
		t.Errorf("the state is %+v, want GaveUp true", s)
	}
	// After a start by hand, "wait" returns at once, and "run" starts the program.
	wait()
	if code, out := inUnit(t, dir, nil, run...); code != 7 || out != "" {
		t.Errorf("run after a start by hand ended with %d, %q, want 7 and no output", code, out)
	}
	// A requested stop resets the state.
	inUnit(t, dir, []string{"MAINPID=1"}, "stopping")
	inUnit(t, dir, crash, "stopped", "--exec-stop")
	if s := backoff.Load(dir); s.Failures != 0 {
		t.Errorf("the state after a requested stop is %+v, want no failures", s)
	}
}

// TestStopDuringDelay: a stop during the delay of "run --backoff" ends the process by the signal, and resets the state.
func TestStopDuringDelay(t *testing.T) {
	instance := t.TempDir() + "/app/1"
	inUnit(t, instance, nil, "stopping") // creates the directory of the state
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
		t.Errorf("the message to systemd is %q, %v, want the delay and an extension of the timeout", got, err)
	}
	// SIGTERM may come before or after "run" has installed its signal handler. In both cases, the subcommand "stopped" must
	// reset the state.
	w.stop(t)
	inUnit(t, instance, []string{"SERVICE_RESULT=success", "EXIT_CODE=killed", "EXIT_STATUS=TERM"}, "stopped", "--exec-stop")
	if s := backoff.Load(instance); s.Failures != 0 {
		t.Errorf("the state after a stop during the delay is %+v, want no failures", s)
	}
}

// TestStateIgnoresEnvironment: commands that run as root do not write to RUNTIME_DIRECTORY, which the app can set.
func TestStateIgnoresEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: sudo make test")
	}
	for _, args := range [][]string{{"wait"}, {"stopping"}, {"stopped"}, {"drain"}} {
		dir := t.TempDir()
		cmd := exec.Command(shim, args...)
		cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+dir, "SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7")
		out, _ := cmd.CombinedOutput() // "wait" and "stopped" fail without --state
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v: RUNTIME_DIRECTORY contains %v, error %v, want no file\n%s", args, left, err, out)
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
			t.Errorf("state %s: wait ended with %d, %q, want 0 and an error of the backoff", instance, code, out)
		}
		if code, out := inUnit(t, instance, nil, "run", "--", "/bin/sh", "-c", "exit 7"); code != 7 || out != "" {
			t.Errorf("state %s: run ended with %d, %q, want 7 and no output", instance, code, out)
		}
	}
}

// TestOldDirectory: an earlier version gave the directory of the state to the user of the app. Commands that run as root
// remove this directory when the program does not run. If the user has replaced the directory by a symbolic link, the
// commands do not follow the link.
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
				t.Errorf("%v: %s exists: got %v, want %v", args, name, err == nil, atStop)
			}
			if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
				t.Errorf("%v: the shim followed %s and created %v, error %v, want no file", args, name, left, err)
			}
			if err := os.RemoveAll(instance); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOldUnits: in a unit of an earlier version, "run" without --state reads the state at the path in RUNTIME_DIRECTORY.
func TestOldUnits(t *testing.T) {
	instance := t.TempDir() + "/app/1"
	for range 4 {
		inUnit(t, instance, []string{"SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=7"}, "stopped", "--exec-stop")
	}
	cmd := exec.Command(shim, "run", "--backoff", "--max-restarts=3", "--", "/bin/true")
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+instance)
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != contract.StatusGaveUp {
		t.Errorf("the shim ended with %v, %q, want status %d", cmd.ProcessState, out, contract.StatusGaveUp)
	}
}
