package drain

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

// Main is the subcommand "clusterctl-shim drain": args without that word, the
// environment of ExecStop=. It returns the exit status: 0 whatever the drain came
// to, so that a stop never fails by it, 2 for arguments that it does not know.
func Main(args []string, getenv func(string) string, stderr io.Writer) int {
	// systemd leaves $MAINPID out when the main process is gone, as after each
	// crash: the restart must not wait for us then.
	pid, err := strconv.Atoi(getenv("MAINPID"))
	if err != nil || pid <= 0 {
		return 0
	}
	opt := Options{MainPID: pid}
	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&opt.Timeout, "drain-timeout", contract.DrainTimeout, "bound of the whole drain")
	flags.DurationVar(&opt.Idle, "idle", DefaultIdle, "silence after which an answered connection counts as done")
	flags.DurationVar(&opt.Busy, "busy", DefaultBusy, "bound for keep-alive connections that are in use without a pause")
	flags.BoolVar(&opt.HTTPClose, "http-close", true, "say Connection: close for the server where keep-alive connections do not end")
	report := flags.String("report", "", "instance for which the connections that are left are noted")
	mode := flags.String("drain", "epoll", "how new connections are kept away: epoll, accept or off")
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
		fmt.Fprintf(stderr, contract.LogPrefix+"drain: --drain %q is none of epoll, accept, off\n", *mode)
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, contract.LogPrefix+"drain: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	result, text := bounded(opt)
	if text != "" {
		fmt.Fprintf(stderr, contract.LogPrefix+"drain: %s\n", text)
	}
	if *report != "" {
		if err := left.Save(*report, result.report()); err != nil {
			fmt.Fprintf(stderr, contract.LogPrefix+"drain: %v\n", err)
		}
	}
	return 0
}

// bounded runs the drain and returns what it did, and what to say about it. It ends soon after Options.Timeout in any case: a
// worker that makes each look at it slow must not make the stop run into TimeoutStopSec=, which is later.
func bounded(opt Options) (Result, string) {
	ctx, cancel := context.WithTimeout(context.Background(), opt.Timeout+contract.DrainSlack)
	defer cancel()
	done := make(chan Result, 1)
	failed := make(chan error, 1)
	go func() {
		result, err := Run(ctx, opt)
		if err != nil {
			failed <- err
			return
		}
		done <- result
	}()
	select {
	case err := <-failed:
		return Result{}, fmt.Sprintf("%v%s; ordinary stop", err, hint(err))
	case result := <-done:
		if result.Reason == "" {
			return result, ""
		}
		return result, result.String()
	case <-ctx.Done():
		return Result{}, "time is up, and looking at the worker takes too long; ordinary stop"
	}
}
