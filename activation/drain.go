package activation

import (
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
// Why not http.Server.Shutdown: (1) from the moment it is called, net/http drops a
// request that it has just read, unanswered; (2) it closes idle connections at once.
// So the listeners are closed one by one instead, which net/http takes for a failure
// of that listener alone, and Shutdown comes last, when no HTTP/1 connection is left.
//
// Why no accepted connection can be missed: net.Listener.Accept returns every
// connection that accept4(2) gave, also when Close comes in between, and http.Server.Serve
// announces each one to ConnState before it accepts again. So when all Serve goroutines
// have returned, conns knows every connection there will ever be.
type run struct {
	server    *Server
	listeners []net.Listener
	conns     *conns
	draining  atomic.Bool

	accepting chan struct{}  // one token for each listener that has begun to accept
	failed    chan error     // one from each Serve goroutine
	serving   sync.WaitGroup // Serve goroutines
	started   int            // tokens taken from accepting
	signalled bool           // the first signal has been taken from its channel
}

func newRun(s *Server, listeners []net.Listener) *run {
	r := &run{
		server:    s,
		listeners: listeners,
		conns:     newConns(s.silence(), s.HTTP.ReadTimeout),
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
	// http.Server.Serve calls BaseContext when nothing is left that can fail, and
	// then accepts.
	base := h.BaseContext
	h.BaseContext = func(l net.Listener) context.Context {
		select {
		case r.accepting <- struct{}{}:
		default: // the caller serves on a listener that is not ours
		}
		if base != nil {
			return base(l)
		}
		return context.Background()
	}
	return r
}

func (s *Server) silence() time.Duration {
	if s.Silence > 0 {
		return s.Silence
	}
	return DefaultSilence
}

func (s *Server) drainTimeout() time.Duration {
	if s.DrainTimeout > 0 {
		return s.DrainTimeout
	}
	return DefaultDrainTimeout
}

// start serves on every listener. Those with TLS come first, and one after another:
// whichever of http.Server.Serve and ServeTLS is called first decides about HTTP/2 for
// both, and Serve decides against it (net/http, nextProtoOnce, Go 1.26), after which a
// client that agreed on HTTP/2 is hung up on.
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

// drain returns nil when all requests have been answered, within the drain timeout.
func (r *run) drain(signals <-chan os.Signal) error {
	timeout := r.server.drainTimeout()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	defer time.AfterFunc(timeout, func() { cancel(errTimeout) }).Stop()
	go r.force(ctx, signals, cancel)

	r.draining.Store(true) // before the listeners are closed: what is accepted last shall be told
	for _, l := range r.listeners {
		go l.Close() // waits for an accept that blocks in the kernel (internal/poll, FD.Close)
	}
	// What systemd hears is for people and for its own timeouts; draining goes on without.
	_ = Notify("STOPPING=1", status(r.conns.count()))
	_ = Notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (timeout + 5*time.Second).Microseconds()))

	hook := r.hook(ctx)
	err := r.accepted(ctx)
	r.conns.wait(ctx, func(left int) { _ = Notify(status(left)) })
	cut := r.conns.owing()
	if err != nil || r.server.HTTP.Shutdown(ctx) != nil {
		cut += r.conns.http2()
		r.conns.closeAll() // not http.Server.Close: like Shutdown, it waits for the last accept without a bound
	}
	if cut > 0 {
		err = also(err, fmt.Errorf("draining: %w: %d (%w)", ErrCut, cut, context.Cause(ctx)))
	}
	return also(err, waitHook(ctx, hook))
}

// also is errors.Join on one line.
func also(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	return fmt.Errorf("%w; %w", err, more)
}

// force ends ctx at the second signal. The first one asks for the stop that is under way,
// also when the caller's context, which may end by the same signal, was here before it.
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
	done := make(chan struct{})
	go func() {
		r.serving.Wait()
		close(done)
	}()
	if !closes(ctx, done) {
		// Only an accept that blocks in the kernel does not notice that its listener is closed.
		return fmt.Errorf("draining: accept still blocks (%w): O_NONBLOCK was cleared on the shared socket, is NonBlocking=yes missing in a unit that inherits it?", context.Cause(ctx))
	}
	return nil
}

func (r *run) hook(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	if r.server.OnDrain == nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		r.server.OnDrain(ctx)
	}()
	return done
}

func waitHook(ctx context.Context, done <-chan struct{}) error {
	if !closes(ctx, done) {
		return fmt.Errorf("draining: OnDrain has not returned (%w)", context.Cause(ctx))
	}
	return nil
}

// grace is what a goroutine has, after the end of the context, to come round to obeying it: on a busy machine the
// context may be over before it has run at all.
const grace = time.Second

// closes waits for done to be closed, until a little after the end of ctx.
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
