package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestGuard: the guard that ExecStop= starts kills a program that ignores its stop signal.
func TestGuard(t *testing.T) {
	for _, args := range [][]string{
		{"stopping", "--kill-after=100ms"}, {"drain", "--kill-after=100ms", "--drain=off"},
	} {
		program := exec.Command("/bin/sh", "-c", "trap '' TERM; while :; do sleep 1000; done")
		program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := program.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(-program.Process.Pid, syscall.SIGKILL) })
		cmd := exec.Command(shim, args...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("MAINPID=%d", program.Process.Pid))
		// CombinedOutput returns when the guard has ended, because the guard has the output open.
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "killed (SIGKILL)") {
			t.Errorf("%v ended with %v, output %q, want a line of the guard about SIGKILL", args, err, out)
		}
		_ = program.Wait()
		if s, ok := program.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
			t.Errorf("%v: the program ended with %v, want SIGKILL", args, program.ProcessState)
		}
	}
}

// TestGuardWithoutProgram: without a main process, as after a crash, the subcommand "stopping" does not start a guard.
func TestGuardWithoutProgram(t *testing.T) {
	cmd := exec.Command(shim, "stopping", "--kill-after=1h")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("stopping ended with %v, output %q, want no error and no output", err, out)
	}
}
