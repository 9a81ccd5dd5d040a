package main

import (
	"errors"
	"flag"
	"io"
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

// runOptions are the flags of "run".
type runOptions struct {
	adopt      bool
	maps       []contract.Map
	holdAccept bool
	ownPtrace  bool
	confine    bool
	instance   int
	// envFiles are read with the rights of the program; "-" in front of one that may be missing.
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
	// Filter, affinity and capabilities belong to a thread; execve(2) has to be
	// called by the same one.
	runtime.LockOSThread()
	return 0, run(&o)
}

func (o *runOptions) parse(args []string) error {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.SetOutput(io.Discard)
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
	f.BoolVar(&o.confine, "confine", false, "")
	f.IntVar(&o.instance, "instance", 0, "")
	f.Func("increment", "", func(s string) error { o.increment = append(o.increment, s); return nil })
	o.envFlags(f)
	f.Func("secret-env", "", func(s string) error { o.secretEnv = append(o.secretEnv, s); return nil })
	f.BoolVar(&o.pin, "pin", false, "")
	f.StringVar(&o.nodePreload, "node-preload", "", "")
	f.StringVar(&o.sigpipe, "sigpipe", "ignore", "")
	f.StringVar(&o.state, "state", "", "")
	f.BoolVar(&o.backoff, "backoff", false, "")
	f.DurationVar(&o.minUptime, "min-uptime", contract.MinUptime, "")
	f.IntVar(&o.maxRestarts, "max-restarts", -1, "")
	if err := f.Parse(args); err != nil {
		return usage(err.Error())
	}
	o.argv = f.Args()
	return o.check()
}

func (o *runOptions) check() error {
	switch {
	case len(o.argv) == 0:
		return usage("no program to run")
	case !strings.HasPrefix(o.argv[0], "/"):
		return usage("the program \"" + o.argv[0] + "\" is not an absolute path")
	case o.instance < 0 || o.instance == 0 && (o.pin || len(o.increment) > 0):
		return usage("--pin and --increment need --instance N, from 1")
	case o.sigpipe != "ignore" && o.sigpipe != "default":
		return usage("--sigpipe " + o.sigpipe + " is neither ignore nor default")
	case !o.adopt && (len(o.maps) > 0 || o.holdAccept || o.ownPtrace):
		return usage("--map, --accept and --own-ptrace need --adopt")
	case o.minUptime <= 0:
		return usage("--min-uptime must be positive")
	}
	return nil
}

// run prepares the process and becomes the program; it returns only on failure.
func run(o *runOptions) error {
	if adopt.HasPtrace() && !o.ownPtrace {
		return &failure{
			code: contract.StatusUsage,
			err:  errors.New("the unit has AmbientCapabilities=CAP_SYS_PTRACE, with which the program could leave its sandbox"),
			hint: "remove the line, and use clusterctl install … --own-ptrace, which gives the capability to the shim alone",
		}
	}
	if err := o.holdBack(); err != nil {
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
			return errors.New("pinning to one CPU: " + err.Error())
		}
	}
	if o.sigpipe == "ignore" {
		ignoreSIGPIPE()
	}
	if o.confine {
		// The notifier has been forked: it stays outside, where it may read the program.
		confine.Signals()
	}
	return execute(o.argv, env)
}

// holdBack waits as long as the series of short runs asks for, or gives up. The launcher has the rights of the program and
// only reads the state; the commands that run as root write it.
func (o *runOptions) holdBack() error {
	state := o.state
	if state == "" && o.backoff {
		// A unit of before --state has a RuntimeDirectory= of the same name.
		state, _, _ = strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	}
	if state == "" {
		return nil
	}
	s := backoff.Load(state)
	switch delay := contract.Delay(s.Failures); {
	case o.maxRestarts >= 0 && (o.state != "" && s.GaveUp || o.backoff && !s.GaveUp && s.Failures > o.maxRestarts):
		return gaveUp(s, o.maxRestarts)
	case o.backoff && delay > 0: // else "wait" has done it, before this command
		tellWait(s, delay)
		if sig, stopped := backoff.Wait(delay); stopped {
			return endBy(sig)
		}
		// The wait is over, and a program that never speaks to systemd would leave its text there.
		if err := adopt.Notify("STATUS="); err != nil {
			report(err)
		}
	}
	return nil
}

// startAdoption takes the passed sockets and puts the notifier in place. From
// here on the program's binds are answered.
func startAdoption(o *runOptions) error {
	if err := seccomp.Check(); err != nil {
		return unavailable(err)
	}
	passed, err := adopt.Receive()
	if err != nil {
		f := &failure{code: exitFailed, err: errors.New("no socket to adopt: " + err.Error())}
		if errors.Is(err, adopt.ErrNoSockets) {
			f.hint = "systemctl start the .socket unit of this app first; the service needs Sockets= and Requires= for it"
		}
		return f
	}
	ls, err := adopt.Inspect(passed, o.maps)
	if err != nil {
		return usage(err.Error())
	}
	err = adopt.Start(adopt.Config{
		Listeners:    ls,
		HoldAccept:   o.holdAccept,
		NotifySocket: os.Getenv("NOTIFY_SOCKET"),
		OwnPtrace:    o.ownPtrace,
		Args:         os.Args,
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable gives the refusals of seccomp their hints.
func unavailable(err error) error {
	hint := ""
	switch {
	case errors.Is(err, seccomp.ErrKernel):
		hint = "clusterctl install … --activation native, for a program that takes the socket from systemd itself (LISTEN_FDS)"
	case errors.Is(err, seccomp.ErrBusy):
		hint = "run it outside of the container or sandbox that filters it, or install it with --activation native"
	case errors.Is(err, seccomp.ErrForbidden):
		hint = "SystemCallFilter= of the unit must allow it: SystemCallFilter=@system-service seccomp"
	default:
		return &failure{code: exitFailed, err: errors.New("adopting: " + err.Error())}
	}
	return &failure{code: contract.StatusUnavailable, err: err, hint: hint}
}

// execute becomes the program. syscall.Exec gives back RLIMIT_NOFILE as it was
// before the Go runtime raised it.
func execute(argv, env []string) error {
	return notExecuted(argv[0], syscall.Exec(argv[0], argv, env))
}

// notExecuted explains why execve(2) of path has failed.
func notExecuted(path string, err error) error {
	f := &failure{code: exitNotRunnable, err: errors.New("executing " + path + ": " + err.Error())}
	switch {
	case errors.Is(err, syscall.ENOENT):
		f.code = exitNotFound
		if _, serr := os.Stat(path); serr == nil {
			f.hint = "it exists: the interpreter in its first line, or its dynamic loader, does not"
		}
	case errors.Is(err, syscall.ENOEXEC):
		f.hint = "a script needs a first line like #!/bin/sh, or clusterctl install … --interpreter"
	case errors.Is(err, syscall.EACCES):
		f.hint = "the user of the unit needs x on the file and on every directory above it"
	}
	return f
}

// ignoreSIGPIPE restores what the Go runtime has changed: systemd starts services
// with SIGPIPE ignored (IgnoreSIGPIPE=, systemd.exec(5)), the runtime installs a
// handler, and execve(2) turns handlers into the default action, which ends a
// program whose client hung up.
func ignoreSIGPIPE() { signal.Ignore(unix.SIGPIPE) }
