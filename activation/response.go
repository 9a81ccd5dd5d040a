package activation

import (
	"io"
	"net/http"
	"sync/atomic"
)

// A closing handler adds "Connection: close" to each response whose header is sent during the
// drain, even if the request arrived before the drain. http.Server.SetKeepAlivesEnabled(false)
// cannot be used instead: it closes idle connections at once, and closes other connections
// after a response without "Connection: close". In both cases, the next request of the client
// may be lost.
type closing struct {
	next     http.Handler
	draining *atomic.Bool
}

func (c *closing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// For HTTP/2, net/http does not send this header. It sends GOAWAY instead, after which the
	// other streams of the connection continue.
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
	cw.announce() // net/http sends the header now if the handler has not written anything
}

// http1Writer has the methods of net/http's HTTP/1 writer that handlers find by an interface
// assertion. closingWriter embeds http1Writer and so has these methods, too, for example
// ReadFrom, which uses sendfile(2). http.ResponseController finds all other methods through
// Unwrap.
type http1Writer interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	io.StringWriter
	FlushError() error
	CloseNotify() <-chan bool // the method of http.CloseNotifier, which is deprecated but still used
}

type closingWriter struct {
	http1Writer
	draining *atomic.Bool
	sent     bool // the header cannot be changed any longer
}

// The method announce sets "Connection: close" during the drain. It must be called before
// net/http copies the header map.
func (w *closingWriter) announce() {
	if !w.sent && w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	w.sent = true
}

func (w *closingWriter) WriteHeader(status int) {
	// A response with status 101 needs "Connection: Upgrade". After another status below 200,
	// a second header follows.
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

// Unwrap returns the writer of net/http. http.ResponseController calls Unwrap.
func (w *closingWriter) Unwrap() http.ResponseWriter { return w.http1Writer }
