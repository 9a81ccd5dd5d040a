package activation

import (
	"io"
	"net/http"
	"sync/atomic"
)

// A closing handler adds "Connection: close" to each response whose header is sent during the
// drain, even if the request came before it. SetKeepAlivesEnabled(false) of http.Server also
// does this, but it closes idle connections at once, and it closes connections after responses
// without "Connection: close". Both race with the next request.
type closing struct {
	next     http.Handler
	draining *atomic.Bool
}

func (c *closing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Not for HTTP/2, where other streams use the connection. net/http turns the header into
	// GOAWAY and does not send it.
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
	cw.announce() // if the handler wrote nothing, net/http writes the header when the handler has returned
}

// http1Writer has all methods of net/http's HTTP/1 writer that callers use by an interface
// assertion or through http.ResponseController, which finds the others by Unwrap. Embedding
// http1Writer keeps these methods, for example ReadFrom, which uses sendfile(2).
type http1Writer interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	io.StringWriter
	FlushError() error
	CloseNotify() <-chan bool // of http.CloseNotifier, which is deprecated but still used
}

type closingWriter struct {
	http1Writer
	draining *atomic.Bool
	sent     bool // the header cannot be changed any longer
}

// announce must be called before any call that makes net/http copy the header map.
func (w *closingWriter) announce() {
	if !w.sent && w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	w.sent = true
}

func (w *closingWriter) WriteHeader(status int) {
	// A response 101 needs "Connection: Upgrade", and after 100 to 199 another header follows.
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
