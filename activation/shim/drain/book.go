package drain

import (
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
)

// book is what is remembered from one look to the next.
type book struct {
	conns   map[uint64]*conn // connections of the instance, by inode
	foreign map[uint64]int   // of siblings: in how many looks no process of ours held it
	looked  time.Time        // last look at the files of the processes

	settled    bool        // see (*drain).settled
	calm       time.Time   // since when no connection is left
	ran        map[int]ran // how much each thread had run by then
	allTurning time.Time   // since when those left are all in use again and again
}

// conn is one connection of the instance.
type conn struct {
	first, last socket
	done        bool      // at the last look
	polite      bool      // its process has been told to say Connection: close itself
	spoken      bool      // see speak
	requests    int       // that were seen to come after an answer, since it was spoken
	answered    bool      // the peer has got something since the last of them
	changed     time.Time // when the counters last changed, or it was first seen
	seen        time.Time // when it was first seen
	flushed     time.Time // when all that was sent had last been acknowledged; seen, if never

	// Of a connection that is spoken on: its key, if it has one, what is known of the word, and the acknowledged bytes at
	// which that was asked for last.
	key    httpclose.Key
	keyed  bool
	word   httpclose.Word
	heeded uint64
}

// foreignAfter looks without an owner among our processes a connection is a
// sibling's for good: accept gives the socket its inode an instant before the
// process has a file descriptor for it.
const foreignAfter = 2

func (b *book) unsettle() { b.settled = false }

// strangers reports whether there is an accepted connection of which it is not
// known whose it is.
func (b *book) strangers(all []socket) bool {
	for _, s := range all {
		if s.Ino != 0 && b.conns[s.Ino] == nil && b.foreign[s.Ino] < foreignAfter {
			return true
		}
	}
	return false
}

// learn finds the owners of the connections from a fresh look at the files.
func (b *book) learn(all []socket, procs []process, now time.Time) {
	conns := make(map[uint64]*conn)
	foreign := make(map[uint64]int)
	for _, s := range all {
		switch {
		case s.Ino == 0: // in the accept queue: stays for the siblings
		case held(procs, s.Ino):
			c := b.conns[s.Ino]
			if c == nil {
				c = &conn{first: s, last: s, changed: now, seen: now, flushed: now, polite: polite(procs, s.Ino)}
			}
			conns[s.Ino] = c
		default:
			foreign[s.Ino] = b.foreign[s.Ino] + 1
		}
	}
	b.conns, b.foreign, b.looked = conns, foreign, now
}

func held(procs []process, ino uint64) bool {
	for _, p := range procs {
		if _, found := p.sockets[ino]; found {
			return true
		}
	}
	return false
}

func polite(procs []process, ino uint64) bool {
	for _, p := range procs {
		if _, found := p.sockets[ino]; found && p.preload {
			return true
		}
	}
	return false
}

// judge counts the connections of the instance that are not done.
func (b *book) judge(all []socket, o Options, now time.Time) sampled {
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
		if c.turning() && (!c.spoken || c.requests >= deaf || c.word == httpclose.Foreign) {
			r.turning++
		}
	}
	return r
}

// bulk is the rate, in bytes a second, from which an answer counts as a download that is on its way.
const bulk = 64 << 10

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
	download := now.Sub(c.flushed) >= o.Busy || float64(sent) >= bulk*age.Seconds()
	return !download
}

// deaf is how many requests there may be on a connection on which Connection:
// close is said. The first may have been sent before that could be read. After a
// second one it is clear that what was said is not heard (TLS, no HTTP), and the
// connection is waited for no longer than one that cannot be spoken on.
const deaf = 2

func (c *conn) update(s socket, now time.Time) {
	if c.spoken {
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

// turning reports whether the connection goes on being used: since it was first
// seen it has received and been answered. The answer to a request that was under
// way at first does not make it so: a new request has to have come as well.
func (c *conn) turning() bool {
	return c.last.Info.Received > c.first.Info.Received && c.last.Info.Acked > c.first.Info.Acked
}
