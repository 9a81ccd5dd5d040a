package backoff

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Wait sleeps for d, or until SIGTERM, SIGINT or SIGHUP. It returns this signal, and the caller must end by it. Wait handles
// the signals so that the caller can end the series first: a stop by hand during the wait must not delay the next start.
func Wait(d time.Duration) (syscall.Signal, bool) {
	got := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup(1) ignores SIGHUP, which the program inherits
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
	// After Stop, a signal ends the process again. One that came before, together with the timer, is returned.
	signal.Stop(got)
	select {
	case s := <-got:
		sig, ok := s.(syscall.Signal)
		return sig, ok
	default:
		return 0, false
	}
}
