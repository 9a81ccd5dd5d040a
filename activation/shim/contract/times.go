package contract

import "time"

// The delay before the next start after short runs.
const (
	// MinUptime is the default of --min-uptime. A run that ends earlier is short.
	MinUptime = 10 * time.Second
	// FirstDelay is the delay after the second short run in a row.
	FirstDelay = 100 * time.Millisecond
	// MaxDelay is the longest delay.
	MaxDelay = 30 * time.Second
)

// Delay returns the delay before the start that follows n short runs in a row. Each delay is 1.5 times the previous one.
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
	// DrainTimeout is how long a stopping instance may answer requests before it gets its stop signal.
	DrainTimeout = 30 * time.Second
	// StopTimeout is the time from the stop signal to SIGKILL, in which a program can save its data. StopTimeout is also
	// the default of systemd.
	StopTimeout = 90 * time.Second
	// DrainSlack is how long a drain may run beyond its time limit. TimeoutStopSec= must be longer than the limit and
	// DrainSlack together.
	DrainSlack = time.Second
)

// Default time limits of a probe.
const (
	// ProbeTimeout limits the whole probe.
	ProbeTimeout = time.Minute
	// ProbeIdle is how long a program that does not listen may be idle.
	ProbeIdle = 10 * time.Second
)

// Backlog is Backlog= of the socket units. The shim needs the number to listen again on a socket that was shut down.
const Backlog = 4096
