package activation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// run is the state of one call of Server.Serve.
//
// A drain does not begin with http.Server.Shutdown, because Shutdown drops a request that net/http has just read, and
// closes idle connections at once. A drain first closes each listener, which net/http treats as an error of this
// listener only. The drain calls Shutdown when no HTTP/1 connection is open.
//
// When all Serve goroutines have returned, conns contains every accepted connection: net.Listener.Accept returns each
// connection that accept4(2) has returned, even if Close is called at the same time, and http.Server.Serve reports the
// connection to ConnState before it calls Accept again.
type run struct {
	server    *Server
	listeners []net.Listener
	conns     *conns
	draining  atomic.Bool

	accepting chan struct{}  // receives one value for each listener on which net/http accepts
	failed    chan error     // receives the error of each Serve goroutine
	serving   sync.WaitGroup // counts the Serve goroutines
	started   int            // number of values received from accepting
	signalled bool           // untilStop has received the first signal
}

func newRun(s *Server, listeners []net.Listener) *run {
	r := &run{
		server:    s,
		listeners: listeners,
		conns:     newConns(cmp.Or(max(s.Silence, 0), DefaultSilence), s.HTTP.ReadTimeout),
		accepting: make(chan struct{}, len(listeners)),
		failed:    make(chan error, len(listeners)),
	}
	h := s.HTTP
	next := h.Handler
	if next == nil {
		next = http.DefaultServeMux
	}
	h.Handler = &closing{next: next, draining: &r.draining}

	state := h.ConnState
	h.ConnState = func(c net.Conn, st http.ConnState) {
		r.conns.setState(c, st)
		if state != nil {
			state(c, st)
		}
	}
	// http.Server.Serve calls BaseContext after all steps that can fail, just before its first accept.
	base := h.BaseContext
	h.BaseContext = func(l net.Listener) context.Context {
		select {
		case r.accepting <- struct{}{}:
		default: // the channel is full, because the caller also serves on another listener
		}
		if base != nil {
			return base(l)
		}
		return context.Background()
	}
	return r
}

// The method start starts a Serve goroutine for each listener. Listeners with TLS come first, one after another.
// Otherwise a first call of http.Server.Serve would disable HTTP/2 for the whole server (net/http, nextProtoOnce,
// Go 1.26), and net/http would close the connection of a client that has negotiated HTTP/2.
func (r *run) start() error {
	for _, l := range r.listeners {
		t, ok := l.(tlsListener)
		if !ok {
			continue
		}
		r.serving.Go(func() { r.failed <- r.server.HTTP.ServeTLS(t.Listener, "", "") })
		select {
		case <-r.accepting:
			r.started++
		case err := <-r.failed:
			return fmt.Errorf("serving HTTP over TLS: %w", err)
		}
	}
	for _, l := range r.listeners {
		if _, ok := l.(tlsListener); !ok {
			r.serving.Go(func() { r.failed <- r.server.HTTP.Serve(l) })
		}
	}
	return nil
}

var (
	errTimeout = errors.New("drain timeout")
	errSignal  = errors.New("second signal")
)

// The method drain stops the server. The error is nil if all requests were answered within the drain timeout.
func (r *run) drain(signals <-chan os.Signal) error {
	timeout := cmp.Or(max(r.server.DrainTimeout, 0), DefaultDrainTimeout)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	defer time.AfterFunc(timeout, func() { cancel(errTimeout) }).Stop()
	go r.force(ctx, signals, cancel)

	r.draining.Store(true) // set before the listeners are closed, so that the last connections get "Connection: close" too
	for _, l := range r.listeners {
		go l.Close() // in a goroutine, because Close waits while accept blocks in the kernel (internal/poll, FD.Close)
	}
	// An error is ignored, because the drain works without these messages.
	_ = Notify("STOPPING=1", status(r.conns.count()))
	_ = Notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (timeout + 5*time.Second).Microseconds()))

	hook := begin(func() {
		if r.server.OnDrain != nil {
			r.server.OnDrain(ctx)
		}
	})
	err := r.awaitServe(ctx)
	r.conns.wait(ctx, func(open int) { _ = Notify(status(open)) })
	cut := r.conns.activeCount(false)
	if err != nil || r.server.HTTP.Shutdown(ctx) != nil {
		cut += r.conns.activeCount(true)
		r.conns.closeAll() // http.Server.Close would wait without a limit if accept blocks in the kernel
	}
	if cut > 0 {
		err = joinErrors(err, fmt.Errorf("draining: %w: %d (%w)", ErrCut, cut, context.Cause(ctx)))
	}
	if !awaitClose(ctx, hook) {
		err = joinErrors(err, fmt.Errorf("draining: OnDrain has not returned (%w)", context.Cause(ctx)))
	}
	return err
}

// joinErrors returns an error with the texts of both errors on one line. Each argument may be nil.
func joinErrors(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	return fmt.Errorf("%w; %w", err, more)
}

// The method force cancels ctx at the second signal. If the caller's context ended before untilStop received a signal,
// the next signal counts as the first one, because it may be the signal that has ended the context.
func (r *run) force(ctx context.Context, signals <-chan os.Signal, cancel context.CancelCauseFunc) {
	missing := 2
	if r.signalled {
		missing = 1
	}
	for range missing {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
	}
	cancel(errSignal)
}

func status(open int) string {
	if open == 1 {
		return "STATUS=draining, 1 connection left"
	}
	return fmt.Sprintf("STATUS=draining, %d connections left", open)
}

// awaitServe waits until all Serve goroutines have returned.
func (r *run) awaitServe(ctx context.Context) error {
	if !awaitClose(ctx, begin(r.serving.Wait)) {
		// Closing a listener does not interrupt an accept that blocks in the kernel.
		return fmt.Errorf("draining: accept still blocks (%w): O_NONBLOCK was cleared on the shared socket; "+
			"each unit that inherits the socket needs NonBlocking=yes", context.Cause(ctx))
	}
	return nil
}

// The function begin calls f in a new goroutine and returns a channel that is closed when f has returned.
func begin(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// grace is how long awaitClose waits after the end of the context, because on a busy machine the context can end
// before a goroutine has run at all.
const grace = time.Second

// awaitClose waits until done is closed and returns true. After the end of ctx, it waits at most for the time grace
// and then returns false.
func awaitClose(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}
