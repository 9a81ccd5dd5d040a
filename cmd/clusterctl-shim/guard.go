package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardName is the subcommand that the commands of ExecStop= leave behind; people do not start it.
const guardName = "guard"

// startGuard leaves a process behind that kills the program when it does not end in time after its stop signal. Before systemd
// 254 a program with a notify socket cannot be kept from stretching its stop without end (EXTEND_TIMEOUT_USEC=). The guard
// belongs to root and is in the cgroup of the instance, so it ends with that at the latest.
func startGuard(after string) {
	pid := os.Getenv("MAINPID")
	if pid == "" {
		return
	}
	_, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], guardName, pid, after}, &syscall.ProcAttr{
		Env: []string{}, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		report(errors.New("guarding the stop: " + err.Error()))
	}
}

func guardCommand(args []string) (int, error) {
	if len(args) != 2 {
		return 0, usage("guard: want a process and a time")
	}
	pid, err := strconv.Atoi(args[0])
	after, terr := time.ParseDuration(args[1])
	if err != nil || terr != nil || pid <= 1 {
		return 0, usage("guard: want a process and a time")
	}
	program, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, nil // it has ended
	}
	ended, err := endsWithin(program, after)
	if err != nil || ended {
		return 0, err
	}
	os.Stderr.WriteString("clusterctl-shim: the program did not stop within " + after.String() + "; killed (SIGKILL)\n")
	return 0, unix.PidfdSendSignal(program, unix.SIGKILL, nil, 0)
}

// endsWithin waits for the end of a process.
func endsWithin(pidfd int, limit time.Duration) (bool, error) {
	deadline := time.Now().Add(limit)
	for {
		left := unix.NsecToTimespec(max(time.Until(deadline), 0).Nanoseconds())
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, &left, nil)
		if err != unix.EINTR {
			return n > 0, err
		}
	}
}
