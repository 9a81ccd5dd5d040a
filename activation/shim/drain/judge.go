package drain

import "time"

// verdict is what is known of one connection at one instant.
type verdict int

const (
	// done: answered and silent for long enough; nothing is lost by closing it.
	done verdict = iota
	// quiet: looks answered, but not for long enough yet.
	quiet
	// busy: a request is unread, unanswered, or its answer is still going out.
	busy
)

// judge tells from the kernel's counters alone whether a connection has an
// unanswered request. idle is how long an answered connection must be silent, answer
// how long ago its request must be.
//
// The rule: the last thing that happened was data received → unanswered. It was
// data sent → answered, unless the program pauses within an answer. Nothing tells such
// a pause from the silence after an answer, so the connection is not done before
// answer has passed since the request, whatever happens in between. Both in one jiffy → the peer's
// acknowledgement decides: one that came alone, after the data, can only be for our answer. If
// it came with the data too, either order is possible (a busy client sends its
// next request in the jiffy of the last answer), and the silence must be twice as
// long.
//
// What this cannot see: inside TLS and HTTP/2 the server also sends bytes that
// are no answer (session tickets, SETTINGS, window updates), so a request that is
// silent for longer than answer there may look answered. For a unix socket the
// kernel keeps no times: since is then the time of the last change that the caller
// saw.
func judge(s socket, idle, answer, since time.Duration) verdict {
	if s.Unread > 0 || s.Unsent > 0 {
		return busy
	}
	if s.Port == 0 {
		return silent(since, max(2*idle, answer))
	}
	i := s.Info
	silence := time.Duration(min(i.SentAge, i.RecvAge)) * time.Millisecond
	request := time.Duration(i.RecvAge) * time.Millisecond
	switch {
	case fresh(s):
		// Connected, nothing said yet: the request is on its way, or this is a
		// connection that a browser opened in advance.
		return silent(silence, idle)
	case i.Acked == 0 || i.RecvAge < i.SentAge:
		return busy
	case request < answer:
		return quiet
	case i.RecvAge > i.SentAge || i.AckAge < i.RecvAge:
		return silent(silence, idle)
	}
	return silent(silence, 2*idle)
}

// fresh reports whether the peer has sent no data yet. Its FIN counts as a byte.
func fresh(s socket) bool {
	return s.Info.Received == 0 || s.CloseWait && s.Info.Received == 1
}

func silent(d, enough time.Duration) verdict {
	if d >= enough {
		return done
	}
	return quiet
}
