package activation

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns knows every open connection of an http.Server by its ConnState calls.
type conns struct {
	silence     time.Duration
	readTimeout time.Duration // of the http.Server
	done        chan struct{} // holds a token when waiting has come down to 0

	mu      sync.Mutex
	open    map[net.Conn]*connState
	waiting int // how many of open are not HTTP/2
}

type connState struct {
	state   http.ConnState
	since   time.Time
	h2      bool // over TLS; an idle one is left to GOAWAY, which cannot race with a request
	expired bool // its read deadline was set into the past by sweep
}

func newConns(silence, readTimeout time.Duration) *conns {
	return &conns{
		silence:     silence,
		readTimeout: readTimeout,
		done:        make(chan struct{}, 1),
		open:        make(map[net.Conn]*connState),
	}
}

// note is called by net/http in the goroutine of the connection, for a new connection
// in the one that accepts.
func (c *conns) note(conn net.Conn, state http.ConnState) {
	h2 := false
	if t, ok := conn.(*tls.Conn); ok && (state == http.StateActive || state == http.StateIdle) {
		h2 = t.ConnectionState().NegotiatedProtocol == "h2" // the handshake is over, or this would wait for it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[conn]
	if s == nil {
		s = new(connState)
		c.open[conn] = s
		c.waiting++
	}
	if s.expired && state == http.StateActive {
		c.revive(conn)
		s.expired = false
	}
	gone := state == http.StateClosed || state == http.StateHijacked
	if gone {
		delete(c.open, conn)
	}
	if (gone || h2) && !s.h2 {
		c.waiting--
	}
	s.state, s.since, s.h2 = state, time.Now(), h2
	if c.waiting == 0 {
		select {
		case c.done <- struct{}{}:
		default:
		}
	}
}

// revive undoes what sweep did to a connection whose request came in the same moment:
// net/http reads on for the body, and to see whether the client goes away.
func (c *conns) revive(conn net.Conn) {
	var deadline time.Time
	if c.readTimeout > 0 {
		deadline = time.Now().Add(c.readTimeout)
	}
	conn.SetReadDeadline(deadline)
}

// wait returns when every connection is closed or is HTTP/2, or when ctx is done. It closes
// those that have been silent for long enough. progress is called with the number that is
// left, at most once a second and only when it has changed. No new connection may come.
func (c *conns) wait(ctx context.Context, progress func(left int)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := c.count()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c.left() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-c.done: // or it was an earlier moment without connections
		case now := <-timer.C:
			timer.Reset(c.sweep(now))
		case <-tick.C:
			if n := c.count(); n != told {
				told = n
				progress(n)
			}
		}
	}
}

// sweep ends the connections that have been silent for long enough, and returns the time
// until there may be more of them.
//
// It sets a read deadline in the past where Close would do too, for the sake of a request
// that comes at the same moment: net/http sets the deadline anew when it has read the
// first bytes of a request, so the one that was in time is answered.
func (c *conns) sweep(now time.Time) (next time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next = c.silence
	for conn, s := range c.open {
		if s.h2 || s.state != http.StateNew && s.state != http.StateIdle {
			continue
		}
		silent := now.Sub(s.since)
		if silent >= c.silence {
			silent = silentFor(conn, silent)
		}
		if silent < c.silence {
			next = min(next, c.silence-silent)
			continue
		}
		// Should net/http have set its own deadline just after ours, there is a next time.
		s.expired, s.since = true, now
		conn.SetReadDeadline(time.Unix(1, 0))
	}
	// Each sweep looks at all connections: many that end one after another share one.
	return max(next, c.silence/20)
}

// left returns the number of open connections that are not HTTP/2.
func (c *conns) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// closeAll closes every connection, whatever it is doing. It closes below TLS, where a
// farewell may take five seconds for each one whose client does not read.
func (c *conns) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if t, ok := conn.(*tls.Conn); ok {
			conn = t.NetConn()
		}
		conn.Close()
	}
}

// count returns the number of open connections.
func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// owing returns the number of HTTP/1 connections with a request in progress.
func (c *conns) owing() int {
	return c.countIf(func(s *connState) bool { return !s.h2 && s.state == http.StateActive })
}

// http2 returns the number of HTTP/2 connections with a stream in progress.
func (c *conns) http2() int {
	return c.countIf(func(s *connState) bool { return s.h2 && s.state == http.StateActive })
}

func (c *conns) countIf(want func(*connState) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.open {
		if want(s) {
			n++
		}
	}
	return n
}
