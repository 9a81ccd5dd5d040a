package drain

import "time"

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
				c = &conn{first: s, last: s, changed: now, polite: polite(procs, s.Ino)}
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
func (b *book) judge(all []socket, idle time.Duration, now time.Time) sampled {
	var r sampled
	for _, s := range all {
		c := b.conns[s.Ino]
		if c == nil {
			continue
		}
		c.update(s, now)
		v := judge(s, idle, now.Sub(c.changed))
		c.done = v == done
		if c.done {
			continue
		}
		r.left++
		if v == busy {
			r.busy++
		}
		if c.turning() && (!c.spoken || c.requests >= deaf) {
			r.turning++
		}
	}
	return r
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
	c.last = s
}

// turning reports whether the connection goes on being used: since it was first
// seen it has received and been answered. The answer to a request that was under
// way at first does not make it so: a new request has to have come as well.
func (c *conn) turning() bool {
	return c.last.Info.Received > c.first.Info.Received && c.last.Info.Acked > c.first.Info.Acked
}
