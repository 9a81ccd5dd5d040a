package activation

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns keeps track of the open connections of an http.Server, by its ConnState calls.
type conns struct {
	silence     time.Duration
	readTimeout time.Duration // of the http.Server
	done        chan struct{} // has a token when waiting is 0 again

	mu      sync.Mutex
	open    map[net.Conn]*connState
	waiting int // the number of open connections that are not HTTP/2
}

type connState struct {
	state   http.ConnState
	since   time.Time
	h2      bool // over TLS; GOAWAY closes an idle one, and does not race with a request
	expired bool // sweep has set its read deadline into the past
}

func newConns(silence, readTimeout time.Duration) *conns {
	return &conns{
		silence:     silence,
		readTimeout: readTimeout,
		done:        make(chan struct{}, 1),
		open:        make(map[net.Conn]*connState),
	}
}

// note records a new state. net/http calls it in the goroutine of the connection, or, for a
// new connection, in the goroutine that accepts.
func (c *conns) note(conn net.Conn, state http.ConnState) {
	h2 := false
	if t, ok := conn.(*tls.Conn); ok && (state == http.StateActive || state == http.StateIdle) {
		h2 = t.ConnectionState().NegotiatedProtocol == "h2" // does not block: the handshake is over
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

// revive removes the read deadline that sweep has set, if a request came in the same moment:
// net/http still reads the body, and reads on to notice when the client disconnects.
func (c *conns) revive(conn net.Conn) {
	var deadline time.Time
	if c.readTimeout > 0 {
		deadline = time.Now().Add(c.readTimeout)
	}
	conn.SetReadDeadline(deadline)
}

// wait returns when all connections are closed or are HTTP/2, or when ctx is done. It closes
// connections that have been silent for long enough. It calls progress with the number of
// connections that are left, at most once a second and only if the number has changed. The
// caller must not accept new connections.
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
		case <-c.done: // or the token is from an earlier moment without connections
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

// sweep ends connections that have been silent for long enough, and returns the time until
// the next one could be.
//
// It sets a read deadline in the past instead of calling Close, so that a request that comes
// in the same moment is answered: net/http sets a new deadline when it has read the first
// bytes of a request.
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
		// If net/http has set its own deadline just after ours, the next sweep sets it again.
		s.expired, s.since = true, now
		conn.SetReadDeadline(time.Unix(1, 0))
	}
	// A sweep looks at all connections, so connections that end shortly after each other share one.
	return max(next, c.silence/20)
}

// left returns the number of open connections that are not HTTP/2.
func (c *conns) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// closeAll closes all connections at once. It closes them below TLS: the close message of TLS
// can take five seconds for each client that does not read.
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

// active returns the number of connections with a request in progress: of the HTTP/2 connections
// if h2 is true, and of the HTTP/1 connections otherwise.
func (c *conns) active(h2 bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.open {
		if s.h2 == h2 && s.state == http.StateActive {
			n++
		}
	}
	return n
}
