package drain

import (
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
)

// tracker stores the state of all accepted connections of the shared listeners.
type tracker struct {
	conns       map[uint64]*conn // connections of the instance, by inode
	others      map[uint64]int   // number of reads of /proc that found no owner in the instance, by inode of the connection
	filesReadAt time.Time        // when the files of the processes were last read

	acceptsDone    bool             // result of (*drain).acceptsDone
	doneSince      time.Time        // time from which on all connections were done
	cpuAtDone      map[int]cpuUsage // the CPU usage of each thread at doneSince
	allReusedSince time.Time        // time from which on all remaining connections were reused
}

// conn is one connection of the instance.
type conn struct {
	first, last    socket    // the first and the last state
	done           bool      // whether the connection was done in its last state
	hasPreload     bool      // whether its process has the Node preload, which adds Connection: close
	closeRequested bool      // whether requestClose has handled the connection
	requests       int       // number of requests since requestClose; each came after a response
	answered       bool      // whether the peer has received data since the last of these requests
	firstSeen      time.Time // time of the first state
	changedAt      time.Time // time of the last change of the counters; initially firstSeen
	flushedAt      time.Time // time when the peer had last acknowledged all data; initially firstSeen

	// The state of httpclose. key is valid if hasKey is true. closeResult is the last result, and checkedAt is Acked at the
	// time of this result.
	key         httpclose.Key
	hasKey      bool
	closeResult httpclose.Result
	checkedAt   uint64
}

// If the drain has read /proc maxReadsWithoutOwner times and has not found a connection in the instance, the connection
// belongs to another instance. One read of /proc is not enough: accept(2) gives the socket its inode just before the
// process gets the descriptor.
const maxReadsWithoutOwner = 2

// hasUnknownOwner reports whether an accepted connection may belong to the instance, so that /proc must be read again.
func (t *tracker) hasUnknownOwner(all []socket) bool {
	for _, s := range all {
		if s.Ino != 0 && t.conns[s.Ino] == nil && t.others[s.Ino] < maxReadsWithoutOwner {
			return true
		}
	}
	return false
}

// updateOwners finds the connections of the instance. A connection belongs to the instance if one of the processes has the
// socket open.
func (t *tracker) updateOwners(all []socket, procs []process, now time.Time) {
	conns := make(map[uint64]*conn)
	others := make(map[uint64]int)
	for _, s := range all {
		owner := slices.IndexFunc(procs, func(p process) bool { return p.hasSocket(s.Ino) })
		switch {
		case s.Ino == 0: // in the accept queue: another instance will accept it
		case owner < 0:
			others[s.Ino] = t.others[s.Ino] + 1
		case t.conns[s.Ino] != nil:
			conns[s.Ino] = t.conns[s.Ino]
		default:
			preload := slices.ContainsFunc(procs, func(p process) bool { return p.preload && p.hasSocket(s.Ino) })
			conns[s.Ino] = &conn{first: s, last: s, firstSeen: now, changedAt: now, flushedAt: now, hasPreload: preload}
		}
	}
	t.conns, t.others, t.filesReadAt = conns, others, now
}

// The method update stores the current states, and returns the connections of the instance that are not done.
func (t *tracker) update(all []socket, o Options, now time.Time) unfinishedConns {
	var u unfinishedConns
	for _, s := range all {
		c := t.conns[s.Ino]
		if c == nil {
			continue
		}
		c.update(s, now)
		state := stateOf(s, o.Idle, o.RequestAge, now.Sub(c.changedAt))
		c.done = state == done
		switch {
		case c.done:
			continue
		case c.isStream(o, now):
			u.streams = append(u.streams, s)
			continue
		}
		u.conns = append(u.conns, s)
		if state == busy {
			u.busy++
		}
		if c.wasReused() && (!c.closeRequested || c.requests >= maxRequestsAfterClose || c.closeResult == httpclose.NotHTTP) {
			u.reused++
		}
	}
	return u
}

// downloadRate is the rate in bytes per second from which a response counts as a download.
const downloadRate = 64 << 10

// isStream reports whether the response may never end, as with server-sent events or a WebSocket. The request must be older
// than Options.StreamAge, and the drain must have watched the connection for at least Options.Busy. A download is not a
// stream. A download always has unacknowledged data, or a high rate.
func (c *conn) isStream(o Options, now time.Time) bool {
	age := now.Sub(c.firstSeen)
	if age < o.Busy || c.last.Port == 0 || c.last.Unread > 0 || withoutData(c.last) ||
		c.last.Info.RecvAge < c.last.Info.SentAge || time.Duration(c.last.Info.RecvAge)*time.Millisecond < o.StreamAge {
		return false
	}
	sent := c.last.Info.Acked - c.first.Info.Acked
	download := now.Sub(c.flushedAt) >= o.Busy || float64(sent) >= downloadRate*age.Seconds()
	return !download
}

// After maxRequestsAfterClose requests since requestClose, a connection counts as reused, so the drain waits at most
// Options.Busy for the connection. The client may have sent the first of these requests before it could read the response
// with the header. A second request means that the responses cannot carry the header (TLS, not HTTP), or that the client
// ignores the header.
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
		c.changedAt = now
	}
	if s.Unsent == 0 {
		c.flushedAt = now
	}
	c.last = s
}

// wasReused reports whether the peer has both sent and acknowledged data since the first state. Data in one
// direction is not enough: it may be the response to an earlier request.
func (c *conn) wasReused() bool {
	return c.last.Info.Received > c.first.Info.Received && c.last.Info.Acked > c.first.Info.Acked
}

// connState is the state of one connection at one time.
type connState int

const (
	// done: the server has responded to all requests, and the connection was silent for long enough, so it can be closed
	// without loss.
	done connState = iota
	// quiet: the server seems to have responded to all requests, but the connection was not silent for long enough.
	quiet
	// busy: the server has not read a request, or has not sent the whole response.
	busy
)

// stateOf returns the state of a connection from the counters of the kernel. A connection is done if it was silent for
// the time idle and its last request is older than requestAge. The parameter unchanged is the time since the last change
// of the counters; stateOf only uses it for Unix sockets, for which the kernel does not count data.
//
// If the last data came from the peer, the server has not responded yet. If the last data came from the server, the server
// has responded, or pauses within the response. From outside, a pause within a response looks like the silence after a
// response. Therefore the request must also be older than requestAge.
//
// If data was received and sent in the same jiffy, the last acknowledgement of the peer decides. If the acknowledgement came
// after the request and without data, it acknowledges the response. If the acknowledgement came with the request, the order
// is unknown, because a busy client sends its next request in the jiffy of the last response. If the order is unknown, the
// connection must be silent for twice as long.
//
// With TLS and HTTP/2 the server also sends bytes that do not belong to a response (session tickets, SETTINGS, window
// updates). Because these bytes count as a response, a response that takes longer than requestAge may be cut.
func stateOf(s socket, idle, requestAge, unchanged time.Duration) connState {
	if s.Unread > 0 || s.Unsent > 0 {
		return busy
	}
	if s.Port == 0 {
		return doneAfter(unchanged, max(2*idle, requestAge))
	}
	i := s.Info
	silence := time.Duration(min(i.SentAge, i.RecvAge)) * time.Millisecond
	request := time.Duration(i.RecvAge) * time.Millisecond
	switch {
	case withoutData(s):
		// The first request is on its way, or a browser has opened the connection in advance.
		return doneAfter(silence, idle)
	case i.Acked == 0 || i.RecvAge < i.SentAge:
		return busy
	case request < requestAge:
		return quiet
	case i.RecvAge > i.SentAge || i.AckAge < i.RecvAge:
		return doneAfter(silence, idle)
	}
	return doneAfter(silence, 2*idle)
}

// withoutData reports whether the peer has not sent any data. The FIN of the peer counts as a byte.
func withoutData(s socket) bool {
	return s.Info.Received == 0 || s.CloseWait && s.Info.Received == 1
}

func doneAfter(silence, limit time.Duration) connState {
	if silence >= limit {
		return done
	}
	return quiet
}
