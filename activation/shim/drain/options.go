package drain

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

const (
	// PreloadSignal tells a Node process with our preload that a drain has begun; SIGTERM follows later. SIGURG is ignored
	// by default, so it does not harm a process that does not expect it, and no Node program uses it.
	PreloadSignal = unix.SIGURG
	// NotifierSignal tells the notifier of an adopted program to hold accept.
	NotifierSignal = unix.SIGUSR1
	// NotifierArg is argv[1] of a notifier.
	NotifierArg = "notify"
)

// Defaults of Options, and of the flags.
const (
	DefaultIdle = 5 * time.Second
	DefaultBusy = 3 * time.Second
)

// Mode selects how new connections are kept away from the worker.
type Mode int

const (
	// ModeEpoll removes the listener from the program's epoll instances.
	ModeEpoll Mode = iota
	// ModeAccept also tells the notifiers of the instance to hold accept, for programs that wait in accept, poll or select.
	ModeAccept
)

// Options configures a drain. The zero values of Cgroup and Manager mean the cgroup and the parent of this process.
type Options struct {
	MainPID int    // main process of the instance ($MAINPID); 0: it has ended
	Manager int    // process that holds the shared listeners: systemd, or a user's
	Cgroup  string // directory of the instance's cgroup
	Mode    Mode
	Timeout time.Duration // limit of the whole drain
	Idle    time.Duration // silence after which an answered connection counts as done
	Busy    time.Duration // limit for connections that are used again and again, and for streams
	// Answer is how old the last request of a connection must be before the connection can be done; 0 means twice Idle. From
	// outside, a pause within an answer looks like the silence after the answer. With a longer time, answers with longer
	// pauses are not cut, but each stop waits longer for clients that keep an idle connection open.
	Answer time.Duration
	// Stream is how old the last request must be before an answer that is still being sent counts as a stream; 0 means
	// Timeout.
	Stream time.Duration

	// HTTPClose lets drain add Connection: close to the answers of any HTTP/1.1 server, on connections that do not end by
	// themselves; see package httpclose.
	HTTPClose bool
}

// Result is the result of a drain.
type Result struct {
	Processes      int // of the instance
	Listeners      int // shared ones that the instance held
	Removed        int // entries removed from epoll instances, each time they were removed
	Notified       int // processes with the Node preload
	Held           int // notifiers that hold accept
	CloseRequested int // connections to whose next answer httpclose adds Connection: close
	Left           int // connections not done at the end
	Streams        int // connections that send without a new request, which the drain does not wait for
	Waited         time.Duration
	// Open lists the connections that were in use at the end, including streams.
	Open []left.Connection
	// Reason is why the drain is incomplete or did nothing; it is empty after a complete drain.
	Reason string
}

// String returns the line for the log.
func (r Result) String() string {
	if r.Reason == "" {
		return fmt.Sprintf("drained in %v", r.Waited.Round(time.Millisecond))
	}
	if r.Left > 0 {
		return fmt.Sprintf("%s; %d connections left after %v", r.Reason, r.Left, r.Waited.Round(time.Millisecond))
	}
	return r.Reason
}
