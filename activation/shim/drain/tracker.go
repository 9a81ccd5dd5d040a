package drain

import (
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
)

// tracker is what the drain knows of the connections from one look to the next.
type tracker struct {
	conns  map[uint64]*conn // connections of the instance, by inode
	others map[uint64]int   // of siblings: in how many looks no process of ours held it
	looked time.Time        // last look at the files of the processes

	acceptsDone    bool        // see (*drain).acceptsDone
	doneSince      time.Time   // since when no connection is left
	ran            map[int]ran // how much each thread had run by then
	allReusedSince time.Time   // since when those left are all in use again and again
}

// conn is one connection of the instance.
type conn struct {
	first, last    socket
	done           bool      // at the last look
	hasPreload     bool      // its process sends Connection: close itself
	closeRequested bool      // see requestClose
	requests       int       // that came after an answer, since closeRequested
	answered       bool      // the peer has got something since the last of them
	changed        time.Time // when the counters last changed, or it was first seen
	seen           time.Time // when it was first seen
	flushed        time.Time // when all that was sent had last been acknowledged; seen, if never

	// Once closeRequested: the key, if there is one, the last result, and the acknowledged bytes when the result was read.
	key         httpclose.Key
	hasKey      bool
	closeResult httpclose.Result
	checkedAt   uint64
}

// otherAfter is in how many looks a connection must have no owner among our processes
// before it counts as a sibling's: accept gives the socket its inode an instant before
// the process has a file descriptor for it.
const otherAfter = 2

// hasUnknown reports whether there is an accepted connection of which it is not
// known whose it is.
func (b *tracker) hasUnknown(all []socket) bool {
	for _, s := range all {
		if s.Ino != 0 && b.conns[s.Ino] == nil && b.others[s.Ino] < otherAfter {
			return true
		}
	}
	return false
}

// learn finds the owners of the connections from a fresh look at the files.
func (b *tracker) learn(all []socket, procs []process, now time.Time) {
	conns := make(map[uint64]*conn)
	others := make(map[uint64]int)
	for _, s := range all {
		switch {
		case s.Ino == 0: // in the accept queue: stays for the siblings
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

// judge counts the connections of the instance that are not done.
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

// downloadRate is the rate, in bytes a second, from which an answer counts as a download that is on its way.
const downloadRate = 64 << 10

// stream reports whether the connection is sent to without an end in sight: the request is older than Options.Stream,
// and in the time that Options.Busy allows it neither fell silent nor was it a download, which always has something on
// its way or has a high rate. Server-sent events are of this kind, and a WebSocket whose peer is silent.
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

// maxRequestsAfterClose is how many requests may come on a connection after
// requestClose. The first may have been sent before the client could read the answer.
// After a second one it is clear that no answer carries the header (TLS, no HTTP) or
// that the client ignores it. The drain then waits for the connection no longer than
// for one on which requestClose is not possible.
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

// reused reports whether the connection goes on being used: since it was first
// seen it has received and been answered. The answer to a request that was under
// way at first does not make it so: a new request has to have come as well.
func (c *conn) reused() bool {
	return c.last.Info.Received > c.first.Info.Received && c.last.Info.Acked > c.first.Info.Acked
}
