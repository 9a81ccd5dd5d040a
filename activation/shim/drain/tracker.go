package drain

import (
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
)

// tracker keeps what the drain knows about the connections.
type tracker struct {
	conns  map[uint64]*conn // connections of the instance, by inode
	others map[uint64]int   // other connections, by inode: in how many looks no process of the instance had it open
	looked time.Time        // last look at the files of the processes

	acceptsDone    bool        // see (*drain).acceptsDone
	doneSince      time.Time   // since when all connections are done
	ran            map[int]ran // how much each thread had run at doneSince
	allReusedSince time.Time   // since when all remaining connections are in use again and again
}

// conn is one connection of the instance.
type conn struct {
	first, last    socket
	done           bool      // at the last look
	hasPreload     bool      // its process has the Node preload, which adds Connection: close
	closeRequested bool      // see requestClose
	requests       int       // requests that came after an answer, since closeRequested
	answered       bool      // the peer has received data since the last of these requests
	changed        time.Time // when the counters last changed, or else when it was first seen
	seen           time.Time // when it was first seen
	flushed        time.Time // when all sent data was last acknowledged, or else seen

	// After closeRequested: the key if hasKey, the last result, and the acknowledged bytes when the result was read.
	key         httpclose.Key
	hasKey      bool
	closeResult httpclose.Result
	checkedAt   uint64
}

// otherAfterLooks is the number of looks without an owner in the instance after which a connection counts as one of a
// sibling. One look is not enough: accept gives the socket its inode just before the process gets the descriptor.
const otherAfterLooks = 2

// hasUnknown reports whether the owner of an accepted connection is not known yet.
func (b *tracker) hasUnknown(all []socket) bool {
	for _, s := range all {
		if s.Ino != 0 && b.conns[s.Ino] == nil && b.others[s.Ino] < otherAfterLooks {
			return true
		}
	}
	return false
}

// learn updates the owners of the connections from the current files of the processes.
func (b *tracker) learn(all []socket, procs []process, now time.Time) {
	conns := make(map[uint64]*conn)
	others := make(map[uint64]int)
	for _, s := range all {
		switch {
		case s.Ino == 0: // in the accept queue: a sibling will accept it
		case held(procs, s.Ino):
			c := b.conns[s.Ino]
			if c == nil {
				c = &conn{first: s, last: s, changed: now, seen: now, flushed: now, hasPreload: hasPreload(procs, s.Ino)}
			}
			conns[s.Ino] = c
		default:
			others[s.Ino] = b.others[s.Ino] + 1
		}
	}
	b.conns, b.others, b.looked = conns, others, now
}

func held(procs []process, ino uint64) bool {
	for _, p := range procs {
		if _, found := p.sockets[ino]; found {
			return true
		}
	}
	return false
}

func hasPreload(procs []process, ino uint64) bool {
	for _, p := range procs {
		if _, found := p.sockets[ino]; found && p.preload {
			return true
		}
	}
	return false
}

// judge returns the connections of the instance that are not done.
func (b *tracker) judge(all []socket, o Options, now time.Time) sampled {
	var r sampled
	for _, s := range all {
		c := b.conns[s.Ino]
		if c == nil {
			continue
		}
		c.update(s, now)
		v := judge(s, o.Idle, o.Answer, now.Sub(c.changed))
		c.done = v == done
		switch {
		case c.done:
			continue
		case c.stream(o, now):
			r.streams = append(r.streams, s)
			continue
		}
		r.left = append(r.left, s)
		if v == busy {
			r.busy++
		}
		if c.reused() && (!c.closeRequested || c.requests >= maxRequestsAfterClose || c.closeResult == httpclose.NotHTTP) {
			r.reused++
		}
	}
	return r
}

// downloadRate is the rate in bytes per second from which an answer counts as a download.
const downloadRate = 64 << 10

// stream reports whether the answer may never end, as with server-sent events, or a WebSocket whose peer is silent. The
// request is older than Options.Stream, and the connection was seen for Options.Busy. The answer is not a download, which
// always has unacknowledged data or a high rate.
func (c *conn) stream(o Options, now time.Time) bool {
	age := now.Sub(c.seen)
	if age < o.Busy || c.last.Port == 0 || c.last.Unread > 0 || fresh(c.last) ||
		c.last.Info.RecvAge < c.last.Info.SentAge || time.Duration(c.last.Info.RecvAge)*time.Millisecond < o.Stream {
		return false
	}
	sent := c.last.Info.Acked - c.first.Info.Acked
	download := now.Sub(c.flushed) >= o.Busy || float64(sent) >= downloadRate*age.Seconds()
	return !download
}

// maxRequestsAfterClose is how many requests may come on a connection after requestClose. The client may have sent the first
// before it could read the answer. After a second one, no answer carries the header (TLS, not HTTP) or the client ignores
// it. Then the drain waits at most Options.Busy, as if requestClose were not possible.
const maxRequestsAfterClose = 2

func (c *conn) update(s socket, now time.Time) {
	if c.closeRequested {
		c.answered = c.answered || s.Info.Acked > c.last.Info.Acked
		if c.answered && s.Info.Received > c.last.Info.Received {
			c.requests++
			c.answered = false
		}
	}
	if s.Unread != c.last.Unread || s.Unsent != c.last.Unsent ||
		s.Info.Acked != c.last.Info.Acked || s.Info.Received != c.last.Info.Received {
		c.changed = now
	}
	if s.Unsent == 0 {
		c.flushed = now
	}
	c.last = s
}

// reused reports whether the connection was used again since it was first seen: a new request came, and data was sent. The
// answer to a request that came earlier does not count alone.
func (c *conn) reused() bool {
	return c.last.Info.Received > c.first.Info.Received && c.last.Info.Acked > c.first.Info.Acked
}
