package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
	"github.com/clusterctl/clusterctl/activation/shim/pid1"
)

// releaseName is the subcommand that ExecStopPost= leaves behind; people do not start it.
const releaseName = "release"

// startRelease leaves a process behind that cancels the start job of the next run, if that run waits or the last run never
// became ready: no boot and no "systemctl start" of the app may wait for runs that fail one after the other. The job of a
// start by hand, and of the first restart after a run that was ready, is left alone.
//
// The process belongs to root and moves into the cgroup of PID 1. In the cgroup of the instance, systemd would kill the process
// before the next run begins.
func startRelease(s backoff.State, neverReady bool) {
	if s.GaveUp || s.Failures == 0 || backoff.Delay(s.Failures) == 0 && !neverReady {
		return
	}
	unit, err := drain.OwnUnit()
	if err != nil {
		return // not in a unit
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], releaseName, unit}, &syscall.ProcAttr{
		Env: []string{}, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err == nil {
		err = drain.MoveToInit(pid)
	}
	if err != nil {
		report(errors.New("releasing the next start: " + err.Error()))
	}
}

func releaseCommand(args []string) (int, error) {
	if len(args) != 1 {
		return 0, usage("release: want a unit")
	}
	return 0, pid1.ReleaseStart(args[0])
}
