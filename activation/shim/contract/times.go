package contract

import "time"

// The delay before a start that follows short runs.
const (
	// MinUptime is the default of --min-uptime: a run of this length is not short.
	MinUptime = 10 * time.Second
	// FirstDelay is the delay after the second short run in a row.
	FirstDelay = 100 * time.Millisecond
	// MaxDelay is the longest delay.
	MaxDelay = 30 * time.Second
)

// Delay returns the delay before the start that follows n short runs in a row: each one is longer by half than the last.
func Delay(n int) time.Duration {
	if n < 2 {
		return 0
	}
	d := FirstDelay
	for i := 2; i < n && d < MaxDelay; i++ {
		d += d / 2
	}
	return min(d, MaxDelay)
}

// Default times of an instance.
const (
	// StartTimeout is the time from exec to READY=1.
	StartTimeout = 60 * time.Second
	// DrainTimeout is how long a stopping instance may go on answering, before its stop signal.
	DrainTimeout = 30 * time.Second
	// StopTimeout is the time from the stop signal to SIGKILL, systemd's own: a program that saves its data needs the time.
	StopTimeout = 90 * time.Second
	// DrainSlack is how long after its time limit a drain ends in any case. TimeoutStopSec= must leave more.
	DrainSlack = time.Second
)

// Default times of a probe.
const (
	// ProbeTimeout bounds the whole probe.
	ProbeTimeout = time.Minute
	// ProbeIdle is how long a program that listens on nothing may do nothing.
	ProbeIdle = 10 * time.Second
)

// Backlog is Backlog= of the socket units. The shim needs the number to listen again on a socket that was shut down.
const Backlog = 4096
