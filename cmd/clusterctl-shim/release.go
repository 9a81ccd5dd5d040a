package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
	"github.com/clusterctl/clusterctl/activation/shim/pid1"
)

// releaseName is the subcommand that ExecStopPost= leaves behind; people do not start it.
const releaseName = "release"

// startRelease leaves a process behind that cancels the start job of the next run, if that run waits or the last run never
// became ready: no boot and no "systemctl start" of the app may wait for runs that fail one after the other. The job of a
// start or restart by hand, and of the first restart after a run that was ready, is left alone.
//
// The process belongs to root and moves into the cgroup of PID 1. In the cgroup of the instance, systemd would kill the process
// before the next run begins.
func startRelease(s backoff.State, neverReady bool) {
	if s.GaveUp || s.Failures == 0 || contract.Delay(s.Failures) == 0 && !neverReady {
		return
	}
	unit, err := drain.OwnUnit()
	if err != nil {
		return // not in a unit
	}
	if err := leaveRelease(unit); err != nil {
		report(errors.New("releasing the next start: " + err.Error()))
	}
}

func leaveRelease(unit string) error {
	// Before this process ends, and with it the run: the next start changes the number.
	restarts, err := pid1.Restarts(unit)
	if err != nil {
		return err
	}
	argv := []string{os.Args[0], releaseName, unit, strconv.FormatUint(uint64(restarts), 10)}
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env: []string{}, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	return drain.MoveToInit(pid)
}

func releaseCommand(args []string) (int, error) {
	if len(args) == 2 {
		if restarts, err := strconv.ParseUint(args[1], 10, 32); err == nil {
			return 0, pid1.ReleaseStart(args[0], uint32(restarts))
		}
	}
	return 0, usage("release: want a unit and how often it was restarted")
}
