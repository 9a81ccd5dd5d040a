package drain

import (
	"testing"
	"time"
)

func TestStateOf(t *testing.T) {
	const idle = 5 * time.Second
	answered := tcpInfo{SentAge: 6000, RecvAge: 6004, AckAge: 5960, Acked: 100, Received: 50}
	recent := answered
	recent.SentAge = 100
	for _, c := range []struct {
		name       string
		s          socket
		unchanged  time.Duration
		want       connState
		requestAge time.Duration
	}{
		{"answered long ago", socket{Port: 80, Info: answered}, 0, done, 0},
		{"answered just now", socket{Port: 80, Info: recent}, 0, quiet, 0},
		{"unread request after a response", socket{Port: 80, Unread: 1, Info: answered}, 0, busy, 0},
		{"response not acknowledged", socket{Port: 80, Unsent: 1, Info: answered}, 0, busy, 0},
		{"data received last",
			socket{Port: 80, Info: tcpInfo{SentAge: 9000, RecvAge: 8000, AckAge: 8000, Acked: 9, Received: 9}}, 0, busy, 0},
		{"first request received in the jiffy of the connect",
			socket{Port: 80, Info: tcpInfo{SentAge: 20000, RecvAge: 20000, AckAge: 20000, Received: 9}}, 0, busy, 0},
		{"request and response in one jiffy, acknowledged later",
			socket{Port: 80, Info: tcpInfo{SentAge: 6000, RecvAge: 6000, AckAge: 5960, Acked: 9, Received: 9}}, 0, done, 0},
		{"request, response and acknowledgement in one jiffy",
			socket{Port: 80, Info: tcpInfo{SentAge: 6000, RecvAge: 6000, AckAge: 6000, Acked: 9, Received: 9}}, 0, quiet, 0},
		{"request, response and acknowledgement in one jiffy, long ago",
			socket{Port: 80, Info: tcpInfo{SentAge: 10000, RecvAge: 10000, AckAge: 10000, Acked: 9, Received: 9}}, 0, done, 0},
		{"connected just now, without data", socket{Port: 80, Info: tcpInfo{SentAge: 100, RecvAge: 100, AckAge: 100}}, 0, quiet, 0},
		{"connected long ago, without data", socket{Port: 80, Info: tcpInfo{SentAge: 5000, RecvAge: 5000, AckAge: 5000}}, 0, done, 0},
		{"closed by the peer without data", socket{Port: 80, CloseWait: true,
			Info: tcpInfo{SentAge: 5000, RecvAge: 5000, AckAge: 5000, Received: 1}}, 0, done, 0},
		{"response sent, and the request is younger than requestAge", socket{Port: 80,
			Info: tcpInfo{SentAge: 14000, RecvAge: 14100, AckAge: 13960, Acked: 100, Received: 50}}, 0, quiet, 30 * time.Second},
		{"response sent, and the request is as old as requestAge",
			socket{Port: 80, Info: tcpInfo{SentAge: 14000, RecvAge: 30000, AckAge: 13960, Acked: 100, Received: 50}}, 0,
			done, 30 * time.Second},
		{"Unix socket, silent for less time than requestAge", socket{Name: "/s"}, 10 * time.Second, quiet, 30 * time.Second},
		{"Unix socket, silent for less time than 2*idle", socket{Name: "/s"}, 6 * time.Second, quiet, 0},
		{"Unix socket, silent for the time 2*idle", socket{Name: "/s"}, 10 * time.Second, done, 0},
		{"Unix socket, unread data", socket{Name: "/s", Unread: 3}, time.Hour, busy, 0},
	} {
		if got := stateOf(c.s, idle, c.requestAge, c.unchanged); got != c.want {
			t.Errorf("%s: state %d, want %d", c.name, got, c.want)
		}
	}
}

var oneSecond = Options{Idle: time.Second, RequestAge: time.Second, Busy: time.Hour}

// TestTracker: the owner of a connection is unknown at first, then the connection belongs to the instance, then it is
// reused.
func TestTracker(t *testing.T) {
	var tr tracker
	now := time.Now()
	at := func(received, acked uint64, unread uint32) []socket {
		return []socket{{Ino: 7, Port: 80, Unread: unread, Info: tcpInfo{Received: received, Acked: acked}}, {Ino: 0, Port: 80}}
	}
	if !tr.hasUnknownOwner(at(1, 0, 1)) {
		t.Fatal("hasUnknownOwner returned false for a new connection, want true")
	}
	tr.updateOwners(at(1, 0, 1), nil, now)
	if !tr.hasUnknownOwner(at(1, 0, 1)) {
		t.Error("hasUnknownOwner returned false after one read without an owner, want true: accept may not have returned yet")
	}
	tr.updateOwners(at(1, 0, 1), []process{{sockets: map[uint64]int{7: 4}}}, now)
	if got := tr.update(at(1, 0, 1), oneSecond, now); len(got.conns) != 1 || got.busy != 1 {
		t.Errorf("a connection with unread data: got %+v, want one busy connection", got)
	}
	if got := tr.update(at(1, 9, 0), oneSecond, now); got.reused != 0 {
		t.Errorf("a connection after its first response: got %+v, want reused 0", got)
	}
	if got := tr.update(at(2, 9, 0), oneSecond, now); got.reused != 1 {
		t.Errorf("a connection after a second request: got %+v, want reused 1", got)
	}
	tr.updateOwners([]socket{{Ino: 9}}, nil, now)
	tr.updateOwners([]socket{{Ino: 9}}, nil, now)
	if tr.hasUnknownOwner([]socket{{Ino: 9}}) {
		t.Error("hasUnknownOwner returned true for a connection without an owner in two reads, want false")
	}
}

// TestCloseRequested: after requestClose, a connection counts as reused only after two more requests, which show that the
// client ignores Connection: close.
func TestCloseRequested(t *testing.T) {
	var tr tracker
	now := time.Now()
	at := func(received, acked uint64) []socket {
		return []socket{{Ino: 7, Port: 80, Info: tcpInfo{Received: received, Acked: acked}}}
	}
	tr.updateOwners(at(1, 0), []process{{sockets: map[uint64]int{7: 4}}}, now)
	for i, step := range []struct {
		received, acked uint64
		want            int
	}{
		{1, 9, 0},  // the first response; then requestClose is called
		{2, 9, 0},  // a request that the client sent before it read this response
		{2, 18, 0}, // the second response, with or without the header
		{3, 18, 0}, // a request after the second response
		{3, 27, 0}, // the third response, which must have the header
		{4, 27, 1}, // one more request: the client ignores the header
	} {
		if got := tr.update(at(step.received, step.acked), oneSecond, now); len(got.conns) != 1 || got.reused != step.want {
			t.Errorf("step %d: got %+v, want one connection, reused %d", i, got, step.want)
		}
		tr.conns[7].closeRequested = true
	}
}
