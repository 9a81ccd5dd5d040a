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

// relistenFlag defines the flag --relisten, and returns the addresses in it: the TCP listeners of a native app, which a
// worker may have shut down.
func relistenFlag(f *flag.FlagSet) *[]netip.AddrPort {
	var all []netip.AddrPort
	f.Func("relisten", "", func(s string) error {
		at, err := relisten.Parse(s)
		all = append(all, at)
		return err
	})
	return &all
}

// listenAgain makes the listeners of PID 1, the parent of this process, listen again. An error must not prevent the start,
// so listenAgain only prints errors.
func listenAgain(all []netip.AddrPort) {
	if len(all) == 0 {
		return
	}
	n, err := relisten.Again(os.Getppid(), all)
	if n > 0 {
		report(errors.New("a worker has shut down the shared listener (shutdown(2)); the listener listens again"))
	}
	warn("listeners", err)
}

// watchName is the name of the internal subcommand that "drain" starts in the background for a native worker.
const watchName = "watch-listeners"

// startWatch starts a process in the background. If the worker shuts a shared listener down during its stop, the new process
// makes the listener listen again at once. The new process ends with the worker.
func startWatch(addresses []string) {
	pid := os.Getenv("MAINPID")
	if pid == "" || len(addresses) == 0 {
		return
	}
	var pipe [2]int
	err := unix.Pipe2(pipe[:], unix.O_CLOEXEC)
	if err == nil {
		defer unix.Close(pipe[0])
		args := append([]string{watchName, strconv.Itoa(os.Getppid()), pid}, addresses...)
		_, err = startBackground(uintptr(pipe[1]), args...)
		unix.Close(pipe[1])
	}
	if err != nil {
		warn("watching the listener", err)
		return
	}
	// The process closes its end of the pipe when it watches the listeners, or when it ends. Wait until then.
	_, _ = unix.Read(pipe[0], make([]byte, 1))
}

// watchCommand watches the listeners of a process. The parameter args contains the process id of the service manager, the
// process id of the worker and the addresses.
func watchCommand(args []string) (int, error) {
	if len(args) < 3 {
		return 0, usage(watchName + ": want MANAGER-PID PID ADDRESS...")
	}
	manager, err := strconv.Atoi(args[0])
	pid, perr := strconv.Atoi(args[1])
	if err != nil || perr != nil {
		return 0, usage(watchName + ": want MANAGER-PID PID ADDRESS...")
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
	// This process needs a high priority, because the kernel refuses connections between the shutdown and the reaction of
	// this process.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
	return 0, relisten.Watch(manager, all, program, func() { _ = unix.Close(1) })
}
