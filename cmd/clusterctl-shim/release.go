package main

import (
	"strconv"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
	"github.com/clusterctl/clusterctl/activation/shim/pid1"
)

// releaseName is the name of the internal subcommand that "stopped" starts in the background.
const releaseName = "release"

// startRelease starts a process in the background that cancels the start job of the next run, if the next run begins with a
// delay, or if the last run never became ready. Without the cancellation, the boot or "systemctl start" of the app would
// wait for one failing run after the other. The process only cancels the job of an automatic restart.
//
// The process runs as root in the cgroup of PID 1, because systemd kills all processes in the cgroup of the instance before
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

// forkRelease starts the process for startRelease.
func forkRelease(unit string) error {
	// Read the restart counter now: when this process has ended, systemd begins the next start, which changes the counter.
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

// releaseCommand cancels the start job. The parameter args contains the name of the unit and its restart counter.
func releaseCommand(args []string) (int, error) {
	if len(args) == 2 {
		if restarts, err := strconv.ParseUint(args[1], 10, 32); err == nil {
			return 0, pid1.ReleaseStart(args[0], uint32(restarts))
		}
	}
	return 0, usage("release: want UNIT RESTARTS")
}
