package backoff

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Wait sleeps for d, or until SIGTERM, SIGINT or SIGHUP. After a signal, Wait returns the signal and true. A stop by
// hand must not delay the next start, so the caller must then end the series of short runs. The caller must also end
// this process by the signal.
func Wait(d time.Duration) (syscall.Signal, bool) {
	got := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if !signal.Ignored(s) { // under nohup(1), this process and the program must ignore SIGHUP
			signal.Notify(got, s)
			defer signal.Reset(s)
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case s := <-got:
		sig, ok := s.(syscall.Signal)
		return sig, ok
	case <-timer.C:
	}
	// After signal.Stop, a signal ends this process as usual. Return a signal that arrived before signal.Stop.
	signal.Stop(got)
	select {
	case s := <-got:
		sig, ok := s.(syscall.Signal)
		return sig, ok
	default:
		return 0, false
	}
}
