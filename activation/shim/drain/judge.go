package drain

import "time"

// verdict is the state of one connection at one time.
type verdict int

const (
	// done: all requests are answered, and the connection was silent long enough. It can be closed without loss.
	done verdict = iota
	// quiet: all requests seem to be answered, but the connection was not silent long enough.
	quiet
	// busy: a request is unread or unanswered, or its answer is still being sent.
	busy
)

// judge returns the state of a connection from the kernel's counters. An answered connection must be silent for idle, and
// its last request must be older than answer.
//
// If data was received last, a request is unanswered. If data was sent last, the request is answered, or the program pauses
// within an answer. Such a pause looks like the silence after an answer, so the connection is not done until the request is
// older than answer. If data was received and sent in the same jiffy, the peer's last acknowledgement decides: if it came
// without data, after the request, it acknowledges our answer. If it came with the request, the order is not known, since a
// busy client sends its next request in the jiffy of the last answer. Then the silence must be twice as long.
//
// With TLS and HTTP/2 the server also sends bytes that do not belong to an answer (session tickets, SETTINGS, window
// updates). So a request whose answer takes longer than answer may look answered. For a Unix socket the kernel does not keep
// times: since is the time since the caller saw the last change.
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
		// No data has come yet: the request is on its way, or a browser has opened the connection in advance.
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
