package main

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/relisten"
)

// relistenFlag collects the TCP listeners of a native app. They belong to PID 1, the parent of this process, and a worker may
// have shut them down.
func relistenFlag(f *flag.FlagSet) *[]netip.AddrPort {
	var all []netip.AddrPort
	f.Func("relisten", "", func(s string) error {
		at, err := relisten.Parse(s)
		all = append(all, at)
		return err
	})
	return &all
}

// listenAgain brings the listeners back. What goes wrong is said and never stops a start.
func listenAgain(all []netip.AddrPort) {
	if len(all) == 0 {
		return
	}
	n, err := relisten.Again(os.Getppid(), all)
	if n > 0 {
		report(errors.New("a worker has shut the shared listener down (shutdown(2)); it listens again"))
	}
	if err != nil {
		report(errors.New("listeners: " + err.Error()))
	}
}

// keepName is the subcommand that "drain" leaves behind for a native worker; people do not start it.
const keepName = "keep"

// startKeep leaves a process behind that listens again at once when the worker shuts the shared listener down while it stops.
// The process ends with the worker.
func startKeep(addresses []string) {
	pid := os.Getenv("MAINPID")
	if pid == "" || len(addresses) == 0 {
		return
	}
	var pipe [2]int
	err := unix.Pipe2(pipe[:], unix.O_CLOEXEC)
	if err == nil {
		defer unix.Close(pipe[0])
		_, err = syscall.ForkExec("/proc/self/exe",
			append([]string{os.Args[0], keepName, strconv.Itoa(os.Getppid()), pid}, addresses...), &syscall.ProcAttr{
				Env: []string{}, Files: []uintptr{0, uintptr(pipe[1]), 2}, Sys: &syscall.SysProcAttr{Setsid: true},
			})
		unix.Close(pipe[1])
	}
	if err != nil {
		report(errors.New("keeping the listener: " + err.Error()))
		return
	}
	// Until it looks, or has ended.
	_, _ = unix.Read(pipe[0], make([]byte, 1))
}

func keepCommand(args []string) (int, error) {
	if len(args) < 3 {
		return 0, usage("keep: want the manager, a process and addresses")
	}
	manager, err := strconv.Atoi(args[0])
	pid, perr := strconv.Atoi(args[1])
	if err != nil || perr != nil {
		return 0, usage("keep: want the manager, a process and addresses")
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
		return 0, nil // it has ended
	}
	// Connections are refused until it runs.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
	return 0, relisten.Keep(manager, all, program, func() { _ = unix.Close(1) })
}
