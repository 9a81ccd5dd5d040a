package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/adopt"
	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/confine"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/envfile"
	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
)

// runOptions holds the values of the flags of the subcommand "run".
type runOptions struct {
	adopt      bool
	maps       []contract.Map
	holdAccept bool
	ownPtrace  bool
	confine    bool
	instance   int
	// The field envFiles contains the paths of the environment files. A file may be missing if its path begins with "-".
	envFiles    []string
	envSyntax   envfile.Syntax
	increment   []string
	secretEnv   []string
	pin         bool
	nodePreload string
	sigpipe     string
	state       string
	backoff     bool
	minUptime   time.Duration
	maxRestarts int
	argv        []string
}

func runCommand(args []string) (int, error) {
	var o runOptions
	if err := o.parse(args); err != nil {
		return 0, err
	}
	// The seccomp filter, the CPU affinity and the capabilities belong to a thread, so the same thread must call execve(2).
	runtime.LockOSThread()
	return 0, run(&o)
}

func (o *runOptions) parse(args []string) error {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.BoolVar(&o.adopt, "adopt", false, "")
	f.Func("map", "", func(s string) error {
		m, err := contract.ParseMap(s)
		o.maps = append(o.maps, m)
		return err
	})
	f.Func("accept", "", func(s string) error {
		if s != "hold" && s != "pass" {
			return errors.New("want hold or pass")
		}
		o.holdAccept = s == "hold"
		return nil
	})
	f.BoolVar(&o.ownPtrace, "own-ptrace", false, "")
	o.programFlags(f)
	f.BoolVar(&o.pin, "pin", false, "")
	f.StringVar(&o.sigpipe, "sigpipe", "ignore", "")
	f.StringVar(&o.state, "state", "", "")
	f.BoolVar(&o.backoff, "backoff", false, "")
	f.DurationVar(&o.minUptime, "min-uptime", contract.MinUptime, "")
	f.IntVar(&o.maxRestarts, "max-restarts", -1, "")
	if err := parse(f, args); err != nil {
		return err
	}
	o.argv = f.Args()
	return o.check()
}

// programFlags defines the flags that "run" and "probe" have in common.
func (o *runOptions) programFlags(f *flag.FlagSet) {
	f.BoolVar(&o.confine, "confine", false, "")
	f.IntVar(&o.instance, "instance", o.instance, "")
	f.Func("increment", "", appendTo(&o.increment))
	f.Func("env-file", "", appendTo(&o.envFiles))
	f.BoolVar(&o.envSyntax.CommentsContinue, "env-comments-continue", false, "")
	f.Func("secret-env", "", appendTo(&o.secretEnv))
	f.StringVar(&o.nodePreload, "node-preload", "", "")
}

func (o *runOptions) check() error {
	switch {
	case len(o.argv) == 0:
		return usage("no program to run")
	case !strings.HasPrefix(o.argv[0], "/"):
		return usage("the program \"" + o.argv[0] + "\" is not an absolute path")
	case o.instance < 0 || o.instance == 0 && (o.pin || len(o.increment) > 0):
		return usage("--pin and --increment need --instance N, and N must be at least 1")
	case o.sigpipe != "ignore" && o.sigpipe != "default":
		return usage("--sigpipe must be ignore or default, not " + o.sigpipe)
	case !o.adopt && (len(o.maps) > 0 || o.holdAccept || o.ownPtrace):
		return usage("--map, --accept and --own-ptrace need --adopt")
	case o.minUptime <= 0:
		return usage("--min-uptime must be positive")
	}
	return nil
}

// The method run prepares the process and becomes the program. It returns only if it cannot become the program, so it always
// returns an error.
func run(o *runOptions) error {
	if adopt.HasPtrace() && !o.ownPtrace {
		return &failure{
			code: contract.StatusUsage,
			err:  errors.New("with AmbientCapabilities=CAP_SYS_PTRACE in the unit, the program could leave its sandbox"),
			hint: "remove the line, and use clusterctl install … --own-ptrace, which gives the capability only to the shim",
		}
	}
	if err := o.waitForBackoff(); err != nil {
		return err
	}
	vars, err := o.readEnvFiles(os.Environ())
	if err != nil {
		return err
	}
	if o.adopt {
		if err := startAdoption(o); err != nil {
			return err
		}
	}
	env, err := environment(vars, o)
	if err != nil {
		return usage(err.Error())
	}
	if o.pin {
		if err := pin(o.instance); err != nil {
			return fmt.Errorf("pinning to one CPU: %w", err)
		}
	}
	if o.sigpipe == "ignore" {
		ignoreSIGPIPE()
	}
	if o.confine {
		// The notifier was forked before this call, so it is not in the Landlock domain and may still read the memory of the
		// program.
		confine.Signals()
	}
	// syscall.Exec restores the RLIMIT_NOFILE that the Go runtime has raised.
	return notExecuted(o.argv[0], syscall.Exec(o.argv[0], o.argv, env))
}

// waitForBackoff waits for the delay of this start, which depends on the recorded short runs. If the instance has given up,
// waitForBackoff returns the failure. waitForBackoff only reads the state, because this process has the rights of the
// program. Commands that run as root write the state.
func (o *runOptions) waitForBackoff() error {
	state := o.state
	if state == "" && o.backoff {
		// A unit of an earlier version has RuntimeDirectory= instead of --state, with the same path.
		state, _, _ = strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	}
	if state == "" {
		return nil
	}
	s := backoff.Load(state)
	switch delay := contract.Delay(s.Failures); {
	case o.maxRestarts >= 0 && (o.state != "" && s.GaveUp || o.backoff && !s.GaveUp && s.Failures > o.maxRestarts):
		return gaveUp(s, o.maxRestarts)
	case o.backoff && delay > 0: // without --backoff, ExecStartPre= has already waited
		sendWaiting(s, delay)
		if sig, stopped := backoff.Wait(delay); stopped {
			return endBySignal(sig)
		}
		// Remove the status text, because the program may never send another one.
		if err := adopt.Notify("STATUS="); err != nil {
			report(err)
		}
	}
	return nil
}

// startAdoption receives the sockets from systemd, and starts the notifier, which gives them to the program at bind(2).
func startAdoption(o *runOptions) error {
	if err := seccomp.Check(); err != nil {
		return unavailable(err)
	}
	passed, err := adopt.Receive()
	if err != nil {
		f := &failure{code: exitFailed, err: fmt.Errorf("no socket to adopt: %w", err)}
		if errors.Is(err, adopt.ErrNoSockets) {
			f.hint = "start the .socket unit of this app first; Sockets= and Requires= of the service must name the .socket unit"
		}
		return f
	}
	ls, err := adopt.Inspect(passed, o.maps)
	if err != nil {
		return usage(err.Error())
	}
	err = adopt.Start(adopt.Config{Listeners: ls, HoldAccept: o.holdAccept, OwnPtrace: o.ownPtrace, Args: os.Args,
		NotifySocket: os.Getenv("NOTIFY_SOCKET")})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable returns the failure for an error of package seccomp, with a hint.
func unavailable(err error) error {
	hint := ""
	switch {
	case errors.Is(err, seccomp.ErrKernel):
		hint = "clusterctl install … --activation native, for a program that supports socket activation (LISTEN_FDS)"
	case errors.Is(err, seccomp.ErrBusy):
		hint = "run the program outside of the container or sandbox, or install it with --activation native"
	case errors.Is(err, seccomp.ErrForbidden):
		hint = "SystemCallFilter= of the unit must allow seccomp(2): SystemCallFilter=@system-service seccomp"
	default:
		return &failure{code: exitFailed, err: fmt.Errorf("adopting: %w", err)}
	}
	return &failure{code: contract.StatusUnavailable, err: err, hint: hint}
}

// notExecuted returns the failure for an error of execve(2), with a hint.
func notExecuted(path string, err error) error {
	f := &failure{code: exitNotRunnable, err: fmt.Errorf("executing %s: %w", path, err)}
	switch {
	case errors.Is(err, syscall.ENOENT):
		f.code = exitNotFound
		if _, serr := os.Stat(path); serr == nil {
			f.hint = "the file exists, but the interpreter in its first line, or its dynamic loader, is missing"
		}
	case errors.Is(err, syscall.ENOEXEC):
		f.hint = "a script needs a first line like #!/bin/sh, or clusterctl install … --interpreter"
	case errors.Is(err, syscall.EACCES):
		f.hint = "the user of the unit needs execute permission on the file and on every directory above it"
	}
	return f
}

// ignoreSIGPIPE ignores SIGPIPE, as systemd does for services (IgnoreSIGPIPE= in systemd.exec(5)). The Go runtime has
// installed a handler, and execve(2) resets handlers to the default action. The default action would end a program when a
// client closes its connection.
func ignoreSIGPIPE() { signal.Ignore(unix.SIGPIPE) }
