package activation

import (
	"io"
	"net/http"
	"sync/atomic"
)

// A closing handler adds "Connection: close" to every response whose header goes out
// while draining, also when the request came in before. http.Server has the same in
// SetKeepAlivesEnabled(false), but that closes idle connections at once, and closes a
// connection after a response that did not say so; either races with the next request.
type closing struct {
	next     http.Handler
	draining *atomic.Bool
}

func (c *closing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// HTTP/2 streams do not own their connection: the next stream brings the word just
	// as well. net/http turns the header into GOAWAY and does not send it.
	plain, ok := w.(http1Writer)
	if !ok || r.ProtoMajor != 1 {
		if c.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		c.next.ServeHTTP(w, r)
		return
	}
	cw := &closingWriter{http1Writer: plain, draining: c.draining}
	c.next.ServeHTTP(cw, r)
	cw.announce() // for a handler that wrote nothing: net/http writes the header after it
}

// http1Writer is all that net/http's writer of HTTP/1 can do, by interface assertion or
// through http.ResponseController, which finds the rest by Unwrap. Embedding it keeps
// every one of them, sendfile(2) by ReadFrom included.
type http1Writer interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	io.StringWriter
	FlushError() error
	CloseNotify() <-chan bool // of http.CloseNotifier, deprecated but still asserted for
}

type closingWriter struct {
	http1Writer
	draining *atomic.Bool
	sent     bool // the header is out of our hands
}

// announce has to come before everything that makes net/http copy the header map.
func (w *closingWriter) announce() {
	if !w.sent && w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	w.sent = true
}

func (w *closingWriter) WriteHeader(status int) {
	// 101 needs its "Connection: Upgrade", and 100 to 199 are not the last header.
	switch {
	case status == http.StatusSwitchingProtocols:
		w.sent = true
	case status >= 200:
		w.announce()
	}
	w.http1Writer.WriteHeader(status)
}

func (w *closingWriter) Write(p []byte) (int, error) {
	w.announce()
	return w.http1Writer.Write(p)
}

func (w *closingWriter) WriteString(s string) (int, error) {
	w.announce()
	return w.http1Writer.WriteString(s)
}

func (w *closingWriter) ReadFrom(r io.Reader) (int64, error) {
	w.announce()
	return w.http1Writer.ReadFrom(r)
}

func (w *closingWriter) Flush() {
	w.announce()
	w.http1Writer.Flush()
}

func (w *closingWriter) FlushError() error {
	w.announce()
	return w.http1Writer.FlushError()
}

// Unwrap is for http.ResponseController.
func (w *closingWriter) Unwrap() http.ResponseWriter { return w.http1Writer }
