package drain

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

const (
	// PreloadSignal tells a Node process with our preload that draining has begun,
	// before its own SIGTERM. SIGURG is ignored by default, so that it could do no
	// harm where it is not awaited, and no Node program listens to it.
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

// Mode is how new connections are kept from the worker.
type Mode int

const (
	// ModeEpoll takes the listener out of the program's epoll instances.
	ModeEpoll Mode = iota
	// ModeAccept also tells the notifiers of the instance to hold accept, for
	// programs that wait in accept, poll or select.
	ModeAccept
)

// Options of one drain. The zero values of Cgroup and Manager mean the usual: the
// process's own cgroup and its parent.
type Options struct {
	MainPID int           // main process of the instance ($MAINPID); 0: it is gone already
	Manager int           // process that holds the shared listeners: systemd, or a user's
	Cgroup  string        // directory of the instance's cgroup
	Mode    Mode          //
	Timeout time.Duration // bound of the whole drain
	Idle    time.Duration // silence after which an answered connection counts as done
	Busy    time.Duration // bound for connections that are used again and again, and for streams
	// Answer is how old the last request of a connection must be before the connection can be done; 0 means twice Idle.
	// From outside, a pause within an answer looks like the silence after the answer. A longer time saves answers with
	// longer pauses, and makes each stop wait that long for a client that keeps its connection open in silence.
	Answer time.Duration
	// Stream is how old the last request must be before what is still sent counts as a stream; 0 means Timeout.
	Stream time.Duration

	// HTTPClose lets drain add Connection: close to the answers of any HTTP/1.1 server,
	// on connections that do not end by themselves; see package httpclose.
	HTTPClose bool
}

// Result says what one drain did.
type Result struct {
	Processes      int           // of the instance
	Listeners      int           // shared ones that the instance held
	Removed        int           // entries taken out of epoll instances, those put back included
	Notified       int           // processes with the Node preload
	Held           int           // notifiers
	CloseRequested int           // connections for which httpclose adds Connection: close
	Left           int           // connections not done at the end
	Streams        int           // connections left to the program: they send without a new request
	Waited         time.Duration //
	// Open are the connections that were in use at the end: those left, and the streams.
	Open []left.Connection
	// Reason says why the drain ended short of done, or did nothing at all; ""
	// is a complete drain.
	Reason string
}

// report is what the result says of connections that the stop may cut.
func (r Result) report() left.Report {
	return left.Report{Waited: r.Waited, Count: len(r.Open), Connections: r.Open}
}

// String is the one line for the log.
func (r Result) String() string {
	if r.Reason == "" {
		return fmt.Sprintf("drained in %v", r.Waited.Round(time.Millisecond))
	}
	if r.Left > 0 {
		return fmt.Sprintf("%s; %d connections left after %v", r.Reason, r.Left, r.Waited.Round(time.Millisecond))
	}
	return r.Reason
}
