package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// guardName is the name of the internal subcommand that the commands of ExecStop= start in the background.
const guardName = "guard"

// startGuard starts the guard, a process in the background that kills the program if the program does not end in time after
// its stop signal. The parameter value is "DURATION:UNIT". Without the guard, a program with a notify socket could extend
// its stop without limit (EXTEND_TIMEOUT_USEC=). The guard runs as root in the cgroup of the instance, and ends with the
// instance.
func startGuard(value string) {
	after, unit, _ := strings.Cut(value, ":")
	pid := os.Getenv("MAINPID")
	if pid == "" {
		return
	}
	_, err := startBackground(1, guardName, pid, after, unit)
	warn("starting the guard, which kills the program after its stop timeout", err)
}

// guardCommand runs the guard. The parameter args contains the process id of the program, the duration and the unit.
func guardCommand(args []string) (int, error) {
	if len(args) != 3 {
		return 0, usage("guard: want PID DURATION UNIT")
	}
	pid, err := strconv.Atoi(args[0])
	after, terr := time.ParseDuration(args[1])
	if err != nil || terr != nil || pid <= 1 {
		return 0, usage("guard: want PID DURATION UNIT")
	}
	program, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, nil // the process has ended
	}
	ended, err := drain.EndsWithin(program, after)
	if err != nil || ended {
		return 0, err
	}
	os.Stderr.WriteString(contract.LogPrefix + "the program did not stop within " + after.String() + "; killed (SIGKILL)\n")
	// Kill all other processes too: with MAINPID=, the program may have changed the main process of the unit.
	return 0, errors.Join(unix.PidfdSendSignal(program, unix.SIGKILL, nil, 0), drain.KillOthers(args[2]))
}
