// Command clusterctl runs any program as N workers on one port, supervised by systemd and logged by journald.
//
// How to read the code: newApp returns the command tree. The file of a command (cmd_*.go) turns flags into a units.App
// (appflags.go) and calls the engine (internal/manage). ui.go prints notes and errors.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/units"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		// When an ssh connection breaks, SIGHUP makes an install roll back. Under nohup, SIGHUP is ignored, so the install
		// continues.
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := untilSignal(context.Background(), signals...)
	// Catch SIGPIPE, so that a closed pipe, as in "install … 2>&1 | head", does not end the process in the middle of a
	// change. The write to the pipe then returns an error.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// After the first signal, the command undoes its change, which can take as long as the workers need to stop. A second
	// Ctrl-C ends the process at once. The next command then completes the undo. A second SIGHUP does not end the process,
	// because a lost terminal causes two SIGHUPs: the shell sends one, and the kernel sends one.
	context.AfterFunc(ctx, func() {
		signal.Reset(os.Interrupt)
		if hungUp(ctx) {
			// Some commands continue without a terminal. SIGTERM must still end such a command.
			signal.Reset(syscall.SIGTERM)
		}
	})
	code := run(ctx, systemEnv(), os.Args)
	stop()
	os.Exit(code)
}

// run executes a command line and returns the exit status. Errors are printed only here.
func run(ctx context.Context, e *env, args []string) int {
	e.args = args
	_, e.command = cmdline.SplitProgram(args)
	started := e.now()
	err := newApp(e).Run(ctx, args)
	// Add the instances that were killed during a repair or an undo to the error.
	err = e.manager(nil).WithKilled(ctx, units.App{}, err, started)
	err = withoutReader(err)
	if err != nil && !errors.Is(err, errWatchEnded) && !errors.Is(err, errDiffer) {
		if ctx.Err() != nil {
			err = interrupted(err)
		}
		e.report(err)
	}
	return exitCode(err)
}

// newApp returns the command tree. The commands are new, so they contain no values from an earlier command line.
func newApp(e *env) *cmdline.App {
	app := &cmdline.App{
		Name: "clusterctl", Usage: "Run any program as N workers on one port, supervised by systemd",
		Description: []string{
			"systemd supervises the workers, the kernel distributes the connections, and journald stores the logs. No " +
				"process of clusterctl keeps running. systemctl and journalctl work with all apps.",
			"\"clusterctl help COMMAND\" explains a command. The manual page clusterctl(1) explains everything, with the exit statuses.",
		},
		Flags: []cmdline.Flag{
			{Name: "quiet", Short: "q", To: &e.quiet, Usage: "print only errors on stderr"},
			{Name: "no-color", To: &e.noColour, Usage: "no colours and no redrawn lines on a terminal, like NO_COLOR"},
			{Name: "version", Short: "v", Usage: "print the version, like the command \"version\""},
		},
		Commands: []*cmdline.Command{
			installCommand(e), generateCommand(e), uninstallCommand(e),
			applyCommand(e), diffCommand(e), rollbackCommand(e),
			startCommand(e), stopCommand(e), restartCommand(e), reloadCommand(e), scaleCommand(e), signalCommand(e), resetCommand(e),
			rollCommand(e),
			lsCommand(e), showCommand(e), envCommand(e), secretCommand(e), logsCommand(e), flushCommand(e), catCommand(e),
			packageCommand(e), versionCommand(e),
		},
		Before: func() {
			e.stderrTTY = e.stderrTTY && !e.noColour
			e.colours = e.colours && !e.noColour
		},
		Stdout: e.stdout, Width: e.width,
		StartsProgram: e.startsProgram,
		Machine: cmdline.Machine{
			Apps: e.appNames, Instances: e.instanceNames, Secrets: e.secretNames,
			Path: func() string { return e.getenv("PATH") },
		},
	}
	app.AddStandard()
	return app
}

func (e *env) appNames() []string {
	apps, _ := e.store.Apps()
	return asStrings(apps)
}

func (e *env) instanceNames(app string) []string {
	n, err := units.ParseName(app)
	if err != nil {
		return nil
	}
	listed, _ := e.store.Listed(n)
	var names []string
	for i := range listed {
		names = append(names, operand{name: n, instance: i + 1}.String())
	}
	return names
}

// bind returns the Run function of a command. The Run function calls the function run with a copy of the options o, which
// then contains the values of the flags.
func bind[O any](e *env, o *O, run func(context.Context, *env, O, cmdline.Input) error) func(context.Context, cmdline.Input) error {
	return func(ctx context.Context, in cmdline.Input) error { return run(ctx, e, *o, in) }
}
