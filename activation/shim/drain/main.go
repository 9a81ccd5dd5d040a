// Package drain lets one worker finish its requests before systemd stops the worker, without the help of the program.
// ExecStop= of every instance with a shared socket runs "drain" as root, before systemd sends SIGTERM:
//
//	ExecStop=-+:/usr/lib/clusterctl/clusterctl-shim drain [flags]
//
// # What it does
//
//  1. The drain finds the processes of the instance, which are in the cgroup of the drain itself. A listener is shared if
//     the service manager has a socket with the same inode open. Other listeners of the program, such as a metrics port,
//     stay as they are.
//  2. The drain removes each shared listener from every epoll instance of these processes, with EPOLL_CTL_DEL on
//     duplicates of the descriptors (pidfd_getfd). No descriptor of the program is closed, and its memory does not change.
//     But epoll no longer reports new connections to the program, so the other instances accept them.
//  3. The drain sends a signal to the processes that handle the signal: to Node processes with the preload of clusterctl
//     (see PreloadSignal), and with ModeAccept to the notifiers of adopted programs.
//  4. The drain waits until the server has responded to the requests on all connections of the instance, at most for
//     Options.Timeout. [stateOf] describes how the drain recognises that the server has responded. Keep-alive connections
//     that do not end by themselves end with the next response of the server; see package httpclose. If a response cannot
//     carry the header (TLS, HTTP/2, WebSocket), the drain waits at most Options.Busy for the connection. The drain does
//     not wait for streams, whose request is older than Options.StreamAge.
//
// All programs are drained in the same way, and get SIGTERM when no request is open. The drain cannot find out whether a
// program handles SIGTERM well: the runtimes of Node and Go always have a handler (SigCgt of /proc/PID/status), and a
// handler may just exit.
//
// A failed drain does not fail the stop: Main prints the error on one line and returns 0, and systemd stops the instance.
//
// # The notifier's side of ModeAccept
//
// Step 2 has no effect on a program that waits in accept, poll or select. If the seccomp filter of the program includes
// accept and accept4, the notifier can hold these calls during the drain:
//
//   - The drain sends [NotifierSignal] (SIGUSR1) with pidfd_send_signal to each notifier in the cgroup of the instance. A
//     process is a notifier if its executable has the base name of the executable of the drain, and its argv[1] is
//     [NotifierArg] ("notify"). The comparison ignores the suffix " (deleted)", which the kernel adds after an upgrade of
//     the package.
//   - The notifier must block SIGUSR1 before it lets the program run, because the default action would end the notifier.
//   - After the signal, calls of accept and accept4 on a shared listener do not return. If the listener is non-blocking,
//     they fail with EAGAIN after a pause. The notifier holds the calls until the program ends, because SIGTERM follows
//     in any case.
//   - The notifier does not confirm the signal. The drain checks the connections instead.
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
// "drain". Main returns the exit status: 2 if an argument is invalid, otherwise 0, so that a failed drain does not fail the
// stop.
func Main(args []string, getenv func(string) string, stderr io.Writer) int {
	// If the main process has ended, as after a crash, systemd does not set $MAINPID. The restart must not wait for a drain
	// then.
	pid, err := strconv.Atoi(getenv("MAINPID"))
	if err != nil || pid <= 0 {
		return 0
	}
	opt := Options{MainPID: pid}
	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&opt.Timeout, "drain-timeout", contract.DrainTimeout, "limit of the whole drain")
	flags.DurationVar(&opt.Idle, "idle", defaultIdle, "how long a connection must be silent after a response to be done")
	flags.DurationVar(&opt.Busy, "busy", defaultBusy, "limit for keep-alive connections that are used without a pause")
	flags.BoolVar(&opt.HTTPClose, "http-close", true, "add Connection: close to responses on keep-alive connections that do not end")
	report := flags.String("report", "", "instance for which to store the connections that are still in use")
	mode := flags.String("drain", "epoll", "how the worker stops accepting connections: epoll, accept or off")
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
		r := left.Report{Waited: result.Waited, Count: len(result.Open), Connections: result.Open}
		if err := left.Save(*report, r); err != nil {
			fmt.Fprintf(stderr, contract.LogPrefix+"drain: %v\n", err)
		}
	}
	return 0
}

// runWithLimit runs the drain, and returns its result and the line to print. runWithLimit returns soon after
// Options.Timeout, even if reading the files of the worker takes long, so that the stop does not reach TimeoutStopSec=.
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
		return Result{}, "time is up: reading the state of the worker takes too long; stopping without a drain"
	}
	switch {
	case err != nil:
		return Result{}, fmt.Sprintf("%v%s; stopping without a drain", err, hint(err))
	case result.Reason == "":
		return result, ""
	}
	return result, result.String()
}

// hint returns a text in parentheses that explains the error, or "".
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (not permitted: drain needs root (ExecStop=+), and in a container a runtime that allows pidfd_getfd)"
	case errors.Is(err, unix.ENOSYS):
		return " (pidfd_getfd needs Linux 5.6 or later; in a container, the seccomp filter must allow pidfd_getfd)"
	}
	return ""
}
