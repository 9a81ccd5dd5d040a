// Command clusterctl runs any program as N workers on one port, supervised by systemd and logged by journald.
//
// The way through the code: main.go gives argv to app.go (the command tree), a command file turns flags into a units.App
// (describe.go) and gives it to the engine (internal/manage), and ui.go and exit.go print the result.
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
		// A lost ssh session takes an install back instead of leaving it half done; under nohup it goes on.
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := untilSignal(context.Background(), signals...)
	// The first signal has things put back, which takes as long as workers take to stop. A second Ctrl-C ends the process at
	// once, and the next command finds the intent and goes on. Not a second SIGHUP: a lost terminal sends it twice, once
	// from the shell and once from the kernel.
	// "install … 2>&1 | head" must not end the process in the middle of its work: a write then fails, and nobody reads it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	context.AfterFunc(ctx, func() {
		signal.Reset(os.Interrupt)
		if hungUp(ctx) {
			// Some commands go on then, and SIGTERM must still end them.
			signal.Reset(syscall.SIGTERM)
		}
	})
	code := run(ctx, systemEnv(), os.Args)
	stop()
	os.Exit(code)
}
