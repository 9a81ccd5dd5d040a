package main

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/relisten"
)

// relistenFlag defines the flag with the TCP listeners of a native app, and returns their addresses. PID 1, the parent of
// this process, has these listeners open, and a worker may have shut them down.
func relistenFlag(f *flag.FlagSet) *[]netip.AddrPort {
	var all []netip.AddrPort
	f.Func("relisten", "", func(s string) error {
		at, err := relisten.Parse(s)
		all = append(all, at)
		return err
	})
	return &all
}

// listenAgain makes the listeners listen again. It prints errors, which never prevent a start.
func listenAgain(all []netip.AddrPort) {
	if len(all) == 0 {
		return
	}
	n, err := relisten.Again(os.Getppid(), all)
	if n > 0 {
		report(errors.New("a worker has shut down the shared listener (shutdown(2)); it listens again"))
	}
	warn("listeners", err)
}

// keepName is the subcommand that "drain" starts in the background for a native worker. It is internal.
const keepName = "keep"

// startKeep starts a process in the background that listens again at once if the worker shuts the shared listener down
// during its stop. The process ends with the worker.
func startKeep(addresses []string) {
	pid := os.Getenv("MAINPID")
	if pid == "" || len(addresses) == 0 {
		return
	}
	var pipe [2]int
	err := unix.Pipe2(pipe[:], unix.O_CLOEXEC)
	if err == nil {
		defer unix.Close(pipe[0])
		keep := append([]string{keepName, strconv.Itoa(os.Getppid()), pid}, addresses...)
		_, err = startBackground(uintptr(pipe[1]), keep...)
		unix.Close(pipe[1])
	}
	if err != nil {
		warn("watching the listener", err)
		return
	}
	// Wait until the process watches the listeners or has ended.
	_, _ = unix.Read(pipe[0], make([]byte, 1))
}

func keepCommand(args []string) (int, error) {
	if len(args) < 3 {
		return 0, usage("keep: want MANAGER-PID PID ADDRESS...")
	}
	manager, err := strconv.Atoi(args[0])
	pid, perr := strconv.Atoi(args[1])
	if err != nil || perr != nil {
		return 0, usage("keep: want MANAGER-PID PID ADDRESS...")
	}
	var all []netip.AddrPort
	for _, s := range args[2:] {
		at, err := relisten.Parse(s)
		if err != nil {
			return 0, usage(err.Error())
		}
		all = append(all, at)
	}
	program, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, nil // the process has ended
	}
	// Connections are refused until this process reacts to a shutdown, so it needs a high priority.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
	return 0, relisten.Keep(manager, all, program, func() { _ = unix.Close(1) })
}
