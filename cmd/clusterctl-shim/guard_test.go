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
		// The guard keeps the output open, so this returns when the guard has ended.
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "killed (SIGKILL)") {
			t.Errorf("guard %v: %v %s", args, err, out)
		}
		_ = program.Wait()
		if s, ok := program.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
			t.Errorf("guard %v: the program ended with %v", args, program.ProcessState)
		}
	}
}

// TestGuardWithoutProgram: after a crash ExecStop= does not start a guard.
func TestGuardWithoutProgram(t *testing.T) {
	cmd := exec.Command(shim, "stopping", "--kill-after=1h")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("stopping without a program: %v %s", err, out)
	}
}
