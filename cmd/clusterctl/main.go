// Command clusterctl runs any program as N workers on one port, supervised by systemd and logged by journald.
//
// How to read the code: app.go has the command tree. Each command has a file (cmd_*.go), which turns flags into a units.App
// (appflags.go) and calls the engine (internal/manage). ui.go and exit.go print the result.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		// A lost ssh session rolls an install back, so that it is not left half done. Under nohup, the install continues.
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := untilSignal(context.Background(), signals...)
	// SIGPIPE must not end the process in the middle of a change, as in "install … 2>&1 | head". The write returns an error
	// instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// After the first signal, the command rolls back, which can take as long as the workers need to stop. A second Ctrl-C
	// ends the process at once, and the next command completes the work. A second SIGHUP does not: a lost terminal sends
	// two, one from the shell and one from the kernel.
	context.AfterFunc(ctx, func() {
		signal.Reset(os.Interrupt)
		if hungUp(ctx) {
			// Some commands continue without a terminal, and SIGTERM must still end them.
			signal.Reset(syscall.SIGTERM)
		}
	})
	code := run(ctx, systemEnv(), os.Args)
	stop()
	os.Exit(code)
}
