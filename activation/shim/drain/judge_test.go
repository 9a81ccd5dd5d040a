package drain

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const idle = 5 * time.Second
	answered := tcpInfo{SentAge: 6000, RecvAge: 6004, AckAge: 5960, Acked: 100, Received: 50}
	recent := answered
	recent.SentAge = 100
	for _, c := range []struct {
		name   string
		s      socket
		since  time.Duration
		want   verdict
		answer time.Duration
	}{
		{"answered long ago", socket{Port: 80, Info: answered}, 0, done, 0},
		{"answered just now", socket{Port: 80, Info: recent}, 0, quiet, 0},
		{"next request unread", socket{Port: 80, Unread: 1, Info: answered}, 0, busy, 0},
		{"answer on its way", socket{Port: 80, Unsent: 1, Info: answered}, 0, busy, 0},
		{"request last", socket{Port: 80, Info: tcpInfo{SentAge: 9000, RecvAge: 8000, AckAge: 8000, Acked: 9, Received: 9}}, 0, busy, 0},
		{"first request in the jiffy of the connection",
			socket{Port: 80, Info: tcpInfo{SentAge: 20000, RecvAge: 20000, AckAge: 20000, Received: 9}}, 0, busy, 0},
		{"request and answer in one jiffy, acknowledged later",
			socket{Port: 80, Info: tcpInfo{SentAge: 6000, RecvAge: 6000, AckAge: 5960, Acked: 9, Received: 9}}, 0, done, 0},
		{"request, answer and acknowledgement in one jiffy",
			socket{Port: 80, Info: tcpInfo{SentAge: 6000, RecvAge: 6000, AckAge: 6000, Acked: 9, Received: 9}}, 0, quiet, 0},
		{"request, answer and acknowledgement in one jiffy, long ago",
			socket{Port: 80, Info: tcpInfo{SentAge: 10000, RecvAge: 10000, AckAge: 10000, Acked: 9, Received: 9}}, 0, done, 0},
		{"connected, without data", socket{Port: 80, Info: tcpInfo{SentAge: 100, RecvAge: 100, AckAge: 100}}, 0, quiet, 0},
		{"connected long ago, without data", socket{Port: 80, Info: tcpInfo{SentAge: 5000, RecvAge: 5000, AckAge: 5000}}, 0, done, 0},
		{"closed by the peer without data", socket{Port: 80, CloseWait: true,
			Info: tcpInfo{SentAge: 5000, RecvAge: 5000, AckAge: 5000, Received: 1}}, 0, done, 0},
		{"a pause within an answer", socket{Port: 80,
			Info: tcpInfo{SentAge: 14000, RecvAge: 14100, AckAge: 13960, Acked: 100, Received: 50}}, 0, quiet, 30 * time.Second},
		{"a request that is old enough",
			socket{Port: 80, Info: tcpInfo{SentAge: 14000, RecvAge: 30000, AckAge: 13960, Acked: 100, Received: 50}}, 0,
			done, 30 * time.Second},
		{"unix, a pause within an answer", socket{Name: "/s"}, 10 * time.Second, quiet, 30 * time.Second},
		{"unix, changed lately", socket{Name: "/s"}, 6 * time.Second, quiet, 0},
		{"unix, silent", socket{Name: "/s"}, 10 * time.Second, done, 0},
		{"unix, unread", socket{Name: "/s", Unread: 3}, time.Hour, busy, 0},
	} {
		if got := judge(c.s, idle, c.answer, c.since); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
}

var second = Options{Idle: time.Second, Answer: time.Second, Busy: time.Hour}

// TestTracker: a connection is unknown at first, then belongs to the instance, then is reused.
func TestTracker(t *testing.T) {
	var b tracker
	now := time.Now()
	at := func(received, acked uint64, unread uint32) []socket {
		return []socket{{Ino: 7, Port: 80, Unread: unread, Info: tcpInfo{Received: received, Acked: acked}}, {Ino: 0, Port: 80}}
	}
	if !b.hasUnknown(at(1, 0, 1)) {
		t.Fatal("hasUnknown returned false for a new connection")
	}
	b.learn(at(1, 0, 1), nil, now)
	if !b.hasUnknown(at(1, 0, 1)) {
		t.Error("the connection counts as another one after one look: accept may not have its descriptor yet")
	}
	b.learn(at(1, 0, 1), []process{{sockets: map[uint64]int{7: 4}}}, now)
	if got := b.judge(at(1, 0, 1), second, now); len(got.left) != 1 || got.busy != 1 {
		t.Errorf("a connection with unread data: %+v", got)
	}
	if got := b.judge(at(1, 9, 0), second, now); got.reused != 0 {
		t.Errorf("a connection whose first request was answered: %+v", got)
	}
	if got := b.judge(at(2, 9, 0), second, now); got.reused != 1 {
		t.Errorf("a connection that was used again: %+v", got)
	}
	b.learn([]socket{{Ino: 9}}, nil, now)
	b.learn([]socket{{Ino: 9}}, nil, now)
	if b.hasUnknown([]socket{{Ino: 9}}) {
		t.Error("hasUnknown still returns true for a connection of a sibling")
	}
}

// TestCloseRequested: a connection with requestClose may take until the end of the drain, unless two more requests show that
// the client ignores Connection: close.
func TestCloseRequested(t *testing.T) {
	var b tracker
	now := time.Now()
	at := func(received, acked uint64) []socket {
		return []socket{{Ino: 7, Port: 80, Info: tcpInfo{Received: received, Acked: acked}}}
	}
	b.learn(at(1, 0), []process{{sockets: map[uint64]int{7: 4}}}, now)
	for i, step := range []struct {
		received, acked uint64
		want            int
	}{
		{1, 9, 0},  // answered; then requestClose is called
		{2, 9, 0},  // a request that was sent before
		{2, 18, 0}, // its answer, with or without the header
		{3, 18, 0}, // a second request, whose answer must have the header
		{3, 27, 0},
		{4, 27, 1}, // the connection is still in use
	} {
		if got := b.judge(at(step.received, step.acked), second, now); len(got.left) != 1 || got.reused != step.want {
			t.Errorf("step %d: %+v, want one connection left, %d reused", i, got, step.want)
		}
		b.conns[7].closeRequested = true
	}
}
