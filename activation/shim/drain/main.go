package drain

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

// Main runs the subcommand "clusterctl-shim drain" with the environment of ExecStop=. args does not contain the word
// "drain". It returns the exit status: 2 if an argument is invalid, otherwise 0, so that a failed drain does not fail the
// stop.
func Main(args []string, getenv func(string) string, stderr io.Writer) int {
	// systemd does not set $MAINPID if the main process has ended, as after a crash. Then there is nothing to drain, and the
	// restart must not wait.
	pid, err := strconv.Atoi(getenv("MAINPID"))
	if err != nil || pid <= 0 {
		return 0
	}
	opt := Options{MainPID: pid}
	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&opt.Timeout, "drain-timeout", contract.DrainTimeout, "limit of the whole drain")
	flags.DurationVar(&opt.Idle, "idle", DefaultIdle, "silence after which an answered connection counts as done")
	flags.DurationVar(&opt.Busy, "busy", DefaultBusy, "limit for keep-alive connections that are used without a pause")
	flags.BoolVar(&opt.HTTPClose, "http-close", true, "add Connection: close to answers on keep-alive connections that do not end")
	report := flags.String("report", "", "instance for which to store the connections that are still in use")
	mode := flags.String("drain", "epoll", "how to keep new connections away: epoll, accept or off")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	switch *mode {
	case "epoll":
	case "accept":
		opt.Mode = ModeAccept
	case "off":
		return 0
	default:
		fmt.Fprintf(stderr, contract.LogPrefix+"drain: --drain must be epoll, accept or off, not %q\n", *mode)
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, contract.LogPrefix+"drain: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	result, text := runWithLimit(opt)
	if text != "" {
		fmt.Fprintf(stderr, contract.LogPrefix+"drain: %s\n", text)
	}
	if *report != "" {
		if err := left.Save(*report, left.Report{Waited: result.Waited, Count: len(result.Open), Connections: result.Open}); err != nil {
			fmt.Fprintf(stderr, contract.LogPrefix+"drain: %v\n", err)
		}
	}
	return 0
}

// runWithLimit runs the drain and returns its result and the line to print. It ends soon after Options.Timeout, even if the
// worker makes every look at it slow, so that the stop does not reach TimeoutStopSec=.
func runWithLimit(opt Options) (Result, string) {
	ctx, cancel := context.WithTimeout(context.Background(), opt.Timeout+contract.DrainSlack)
	defer cancel()
	var result Result
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = Run(ctx, opt)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return Result{}, "time is up: looking at the worker takes too long; stopping without a drain"
	}
	switch {
	case err != nil:
		return Result{}, fmt.Sprintf("%v%s; stopping without a drain", err, hint(err))
	case result.Reason == "":
		return result, ""
	}
	return result, result.String()
}

// hint returns the cause of an error in parentheses, if it is known.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (not permitted: drain needs root (ExecStop=+), and in a container a runtime that allows pidfd_getfd)"
	case errors.Is(err, unix.ENOSYS):
		return " (pidfd_getfd needs Linux 5.6 or later, and a container whose filter allows it)"
	}
	return ""
}
