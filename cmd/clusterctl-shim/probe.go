package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/confine"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/probe"
	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
)

// probeChildName is the name of the internal subcommand that "probe" starts.
const probeChildName = "probe-child"

// confineFlag may be the first argument of probe-child. The next argument is the absolute path of the program.
const confineFlag = "--confine"

func probeCommand(args []string) (int, error) {
	o := runOptions{instance: 1}
	var output string
	var own []string
	timeout, settle, idle := contract.ProbeTimeout, probe.DefaultSettle, contract.ProbeIdle
	f := flag.NewFlagSet("probe", flag.ContinueOnError)
	f.DurationVar(&timeout, "timeout", timeout, "")
	f.DurationVar(&settle, "settle", settle, "")
	f.DurationVar(&idle, "idle", idle, "")
	f.StringVar(&output, "output", "", "")
	f.Func("own", "", appendTo(&own))
	o.programFlags(f)
	if err := parse(f, args); err != nil {
		return 0, err
	}
	o.argv, o.sigpipe, o.minUptime, o.adopt = f.Args(), "ignore", time.Second, true
	if err := o.check(); err != nil {
		return 0, err
	}
	if timeout <= 0 || settle <= 0 {
		return 0, usage("--timeout and --settle must be positive")
	}
	if idle < 0 {
		return 0, usage("--idle must not be negative")
	}
	vars, err := o.readEnvFiles(os.Environ())
	if err != nil {
		return 0, err
	}
	env, err := environment(vars, &o)
	if err != nil {
		return 0, usage(err.Error())
	}
	child := []string{os.Args[0], probeChildName}
	if o.confine {
		child = append(child, confineFlag)
	}
	runtime.LockOSThread()
	r, err := probe.Run(probe.Config{
		// Without these variables, the program cannot send messages to systemd for the unit of the probe.
		Argv: o.argv, Env: withoutVariables(env, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"),
		Timeout: timeout, Settle: settle, Idle: idle, Child: child, Own: own,
	})
	if err != nil {
		return 0, unavailable(err)
	}
	return 0, write(output, r.JSON())
}

// The function write writes the report to the file, or to stdout if path is empty.
func write(path string, b []byte) error {
	if path == "" {
		_, err := os.Stdout.Write(b)
		return err
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// probeChild becomes the program under probe.
func probeChild(args []string) (int, error) {
	runtime.LockOSThread()
	ignoreSIGPIPE()
	if args[0] == confineFlag {
		// Only the program is in the Landlock domain, not the prober, which must read the program.
		confine.Signals()
		args = args[1:]
	}
	err := probe.Child(args, os.Environ())
	if errors.Is(err, seccomp.ErrKernel) || errors.Is(err, seccomp.ErrBusy) || errors.Is(err, seccomp.ErrForbidden) {
		return contract.StatusUnavailable, nil // the prober reports the error
	}
	return 0, notExecuted(args[0], err)
}
