package activation

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns records the state of each open connection of an http.Server. The server calls setState at
// each change of a state (http.Server.ConnState).
type conns struct {
	silence     time.Duration
	readTimeout time.Duration // ReadTimeout of the http.Server
	done        chan struct{} // receives a value when http1 becomes 0

	mu    sync.Mutex
	open  map[net.Conn]*connState
	http1 int // the number of open connections that are not HTTP/2
}

type connState struct {
	state   http.ConnState
	since   time.Time
	h2      bool // HTTP/2 over TLS: Shutdown ends the connection with GOAWAY and does not lose a request
	expired bool // sweep has set the read deadline of the connection to the past
}

func newConns(silence, readTimeout time.Duration) *conns {
	return &conns{
		silence:     silence,
		readTimeout: readTimeout,
		done:        make(chan struct{}, 1),
		open:        make(map[net.Conn]*connState),
	}
}

// setState stores the new state of a connection. net/http calls setState in the goroutine that
// accepts if the connection is new, and otherwise in the goroutine of the connection.
func (c *conns) setState(conn net.Conn, state http.ConnState) {
	h2 := false
	if t, ok := conn.(*tls.Conn); ok && (state == http.StateActive || state == http.StateIdle) {
		h2 = t.ConnectionState().NegotiatedProtocol == "h2" // does not block, because the handshake is complete
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[conn]
	if s == nil {
		s = new(connState)
		c.open[conn] = s
		c.http1++
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
		c.http1--
	}
	s.state, s.since, s.h2 = state, time.Now(), h2
	if c.http1 == 0 {
		select {
		case c.done <- struct{}{}:
		default:
		}
	}
}

// The method revive replaces a read deadline that sweep has set. A request can arrive
// while sweep sets this deadline. setState then calls revive, so that net/http can read the body of
// the request and notices when the client disconnects.
func (c *conns) revive(conn net.Conn) {
	var deadline time.Time
	if c.readTimeout > 0 {
		deadline = time.Now().Add(c.readTimeout)
	}
	conn.SetReadDeadline(deadline)
}

// The method wait returns when no HTTP/1 connection is open, or when ctx is done. It closes
// connections that have been silent for c.silence. It calls progress with the number of open
// connections, at most once a second and only if the number has changed. The caller must not accept
// connections during the call.
func (c *conns) wait(ctx context.Context, progress func(open int)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	reported := c.count()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c.http1Count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-c.done: // the loop reads the number again, because the value may be outdated
		case now := <-timer.C:
			timer.Reset(c.sweep(now))
		case <-tick.C:
			if n := c.count(); n != reported {
				reported = n
				progress(n)
			}
		}
	}
}

// The method sweep ends the connections that have been silent for c.silence, and returns the time
// until the next sweep.
//
// sweep sets a read deadline in the past instead of calling Close, so that net/http still answers a
// request that arrives at the same time: net/http replaces the deadline when it has read the first
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
		// If net/http replaces this deadline at the same time, the next sweep sets the deadline
		// again.
		s.expired, s.since = true, now
		conn.SetReadDeadline(time.Unix(1, 0))
	}
	// A sweep checks all connections. The minimum time between sweeps makes one sweep end several
	// connections.
	return max(next, c.silence/20)
}

// http1Count returns the number of open connections that are not HTTP/2.
func (c *conns) http1Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.http1
}

// closeAll closes all connections at once. With TLS, it closes the TCP connection itself, because
// the close message of TLS can take five seconds if a client does not read.
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

// The method count returns the number of open connections.
func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// activeCount returns the number of connections with a request in progress. If h2 is true,
// activeCount counts the HTTP/2 connections, and otherwise the HTTP/1 connections.
func (c *conns) activeCount(h2 bool) int {
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
