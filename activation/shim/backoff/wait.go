package backoff

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Wait sleeps for d, or until SIGTERM, SIGINT or SIGHUP; then it returns that
// signal, which is still to be obeyed. They are waited for, and not left to kill,
// so that the series can be cleared first: a stop by hand during the wait must
// not delay the next start.
func Wait(d time.Duration) (syscall.Signal, bool) {
	got := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as under nohup(1): the program inherits that
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
	// A signal that came with the timer, or since, is to be obeyed as well; from here on they kill again.
	signal.Stop(got)
	select {
	case s := <-got:
		sig, ok := s.(syscall.Signal)
		return sig, ok
	default:
		return 0, false
	}
}
