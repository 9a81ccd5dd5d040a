package main

import (
	"strconv"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
	"github.com/clusterctl/clusterctl/activation/shim/pid1"
)

// releaseName is the subcommand that ExecStopPost= starts in the background. It is internal.
const releaseName = "release"

// startRelease starts a process in the background that cancels the start job of the next run, if the next run waits for a
// delay or the last run never became ready. Otherwise the boot, or "systemctl start" of the app, would wait for one failing
// run after the other. The process does not cancel the job of a start or restart by hand, or of the first restart after a
// run that was ready.
//
// The process runs as root and moves into the cgroup of PID 1. In the cgroup of the instance, systemd would kill it before
// the next run begins.
func startRelease(s backoff.State, neverReady bool) {
	if s.GaveUp || s.Failures == 0 || contract.Delay(s.Failures) == 0 && !neverReady {
		return
	}
	unit, err := drain.OwnUnit()
	if err != nil {
		return // not in a unit
	}
	warn("releasing the next start", forkRelease(unit))
}

func forkRelease(unit string) error {
	// Read the restart counter before this process ends: the run ends with it, and the next start changes the counter.
	restarts, err := pid1.Restarts(unit)
	if err != nil {
		return err
	}
	pid, err := startBackground(1, releaseName, unit, strconv.FormatUint(uint64(restarts), 10))
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
	return 0, usage("release: want UNIT RESTARTS")
}
