package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestGuard: what ExecStop= leaves behind kills a program that ignores its stop signal, and nothing else happens to it before.
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
		// The guard keeps it open, so this returns when the guard has ended.
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "killed (SIGKILL)") {
			t.Errorf("%v: %v %s", args, err, out)
		}
		_ = program.Wait()
		if s, ok := program.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
			t.Errorf("%v: the program ended with %v", args, program.ProcessState)
		}
	}
}

// TestGuardWithoutProgram: after a crash there is nothing to guard.
func TestGuardWithoutProgram(t *testing.T) {
	cmd := exec.Command(shim, "stopping", "--kill-after=1h")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v %s", err, out)
	}
}
