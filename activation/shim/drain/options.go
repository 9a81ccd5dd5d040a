package drain

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

const (
	// PreloadSignal tells a Node process with the preload of clusterctl that a drain has begun. SIGURG is ignored by
	// default, so it does not harm a process without a handler, and no Node program uses it.
	PreloadSignal = unix.SIGURG
	// NotifierSignal tells the notifier of an adopted program to hold accept calls.
	NotifierSignal = unix.SIGUSR1
	// NotifierArg is argv[1] of a notifier.
	NotifierArg = "notify"
)

// Defaults of the flags.
const (
	defaultIdle = 5 * time.Second
	defaultBusy = 3 * time.Second
)

// Mode selects how the worker stops accepting connections.
type Mode int

const (
	// ModeEpoll removes the listener from the epoll instances of the program.
	ModeEpoll Mode = iota
	// ModeAccept also tells the notifiers of the instance to hold accept calls, for programs that wait in accept, poll or
	// select.
	ModeAccept
)

// Options configures a drain. The zero values of Cgroup and Manager mean the cgroup and the parent of this process.
type Options struct {
	MainPID int    // process id of the main process ($MAINPID), or 0 if the process has ended
	Manager int    // process id of the service manager
	Cgroup  string // directory of the instance's cgroup
	Mode    Mode
	Timeout time.Duration // limit of the whole drain
	Idle    time.Duration // how long a connection must be silent after a response to be done
	Busy    time.Duration // how long the drain waits for streams, and for connections with requests without a pause
	// RequestAge is how old the last request of a connection must be before the connection can be done; 0 means twice Idle.
	// From outside, a pause within a response looks like the silence after the response. With a larger RequestAge, a
	// response may pause for longer, but each stop waits longer for idle connections.
	RequestAge time.Duration
	// StreamAge is how old the last request must be before a response that does not end counts as a stream; 0 means Timeout.
	StreamAge time.Duration

	// HTTPClose adds Connection: close to responses on connections that do not end by themselves; see package httpclose.
	HTTPClose bool
}

// Result is the result of a drain.
type Result struct {
	Processes      int // number of processes of the instance
	Listeners      int // number of shared listeners that the instance had open
	Removed        int // number of removals of epoll entries
	Notified       int // number of processes with the Node preload that got PreloadSignal
	Held           int // number of notifiers that hold accept calls
	CloseRequested int // number of connections on which httpclose adds Connection: close to the next response
	Left           int // number of connections that are not done at the end
	Streams        int // number of streams, for which the drain does not wait
	Waited         time.Duration
	// Open lists the connections that were in use at the end, including streams.
	Open []left.Connection
	// Reason explains why the drain is incomplete or did nothing. Reason is empty after a complete drain.
	Reason string
}

// String returns the reason, and the number of connections that are left, for the log.
func (r Result) String() string {
	if r.Left > 0 {
		return fmt.Sprintf("%s; %d connections left after %v", r.Reason, r.Left, r.Waited.Round(time.Millisecond))
	}
	return r.Reason
}
