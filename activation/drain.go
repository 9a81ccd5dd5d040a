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

// A run is one call of Server.Serve.
//
// A run does not begin with http.Server.Shutdown, for two reasons: Shutdown drops a request
// that net/http has just read, and it closes idle connections at once. A run closes the
// listeners one by one instead. For net/http that is an error of one listener. It calls
// Shutdown at the end, when no HTTP/1 connection is left.
//
// No accepted connection can be missed: net.Listener.Accept returns each connection that
// accept4(2) returned, even if Close is called in between, and http.Server.Serve reports
// each connection to ConnState before it accepts again. So when all Serve goroutines have
// returned, conns knows all connections.
type run struct {
	server    *Server
	listeners []net.Listener
	conns     *conns
	draining  atomic.Bool

	accepting chan struct{}  // has one token for each listener that accepts
	failed    chan error     // one from each Serve goroutine
	serving   sync.WaitGroup // Serve goroutines
	started   int            // number of tokens taken from accepting
	signalled bool           // the first signal has been taken from its channel
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
		r.conns.note(c, st)
		if state != nil {
			state(c, st)
		}
	}
	// http.Server.Serve calls BaseContext after everything that can fail, and then
	// accepts.
	base := h.BaseContext
	h.BaseContext = func(l net.Listener) context.Context {
		select {
		case r.accepting <- struct{}{}:
		default: // the caller serves on another listener, too
		}
		if base != nil {
			return base(l)
		}
		return context.Background()
	}
	return r
}

// start serves on all listeners. Listeners with TLS are started first, one after another:
// the first call of http.Server.Serve or ServeTLS decides whether both support HTTP/2, and
// Serve decides against it (net/http, nextProtoOnce, Go 1.26). Then net/http would close
// the connection of a client that has negotiated HTTP/2.
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

// drain returns nil if all requests were answered within the drain timeout.
func (r *run) drain(signals <-chan os.Signal) error {
	timeout := cmp.Or(max(r.server.DrainTimeout, 0), DefaultDrainTimeout)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	defer time.AfterFunc(timeout, func() { cancel(errTimeout) }).Stop()
	go r.force(ctx, signals, cancel)

	r.draining.Store(true) // before the listeners are closed, so that the last connections get "Connection: close" too
	for _, l := range r.listeners {
		go l.Close() // in a goroutine: Close waits for an accept that blocks in the kernel (internal/poll, FD.Close)
	}
	// These messages are for people and for the timeouts of systemd, so draining does not need them.
	_ = Notify("STOPPING=1", status(r.conns.count()))
	_ = Notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (timeout + 5*time.Second).Microseconds()))

	hook := begin(func() {
		if r.server.OnDrain != nil {
			r.server.OnDrain(ctx)
		}
	})
	err := r.accepted(ctx)
	r.conns.wait(ctx, func(left int) { _ = Notify(status(left)) })
	cut := r.conns.active(false)
	if err != nil || r.server.HTTP.Shutdown(ctx) != nil {
		cut += r.conns.active(true)
		r.conns.closeAll() // not http.Server.Close, which waits for the last accept without a limit, like Shutdown
	}
	if cut > 0 {
		err = also(err, fmt.Errorf("draining: %w: %d (%w)", ErrCut, cut, context.Cause(ctx)))
	}
	if !closes(ctx, hook) {
		err = also(err, fmt.Errorf("draining: OnDrain has not returned (%w)", context.Cause(ctx)))
	}
	return err
}

// also joins two errors on one line.
func also(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	return fmt.Errorf("%w; %w", err, more)
}

// force ends ctx at the second signal. The first signal requests the stop that has already
// begun, even if the caller's context, which can end by the same signal, ended before it.
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

func status(left int) string {
	if left == 1 {
		return "STATUS=draining, 1 connection left"
	}
	return fmt.Sprintf("STATUS=draining, %d connections left", left)
}

// accepted waits until the last accept has returned.
func (r *run) accepted(ctx context.Context) error {
	if !closes(ctx, begin(r.serving.Wait)) {
		// An accept that blocks in the kernel does not notice that its listener is closed.
		return fmt.Errorf("draining: accept still blocks (%w): O_NONBLOCK was cleared on the shared socket, "+
			"is NonBlocking=yes missing in a unit that inherits it?", context.Cause(ctx))
	}
	return nil
}

// begin calls f in a new goroutine and returns a channel that is closed when f has returned.
func begin(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// grace is the time that a goroutine has to return after the end of its context. On a busy machine the context can end
// before the goroutine has run at all.
const grace = time.Second

// closes waits until done is closed, at most until grace after the end of ctx.
func closes(ctx context.Context, done <-chan struct{}) bool {
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
