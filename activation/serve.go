package activation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Defaults of [Server].
const (
	// DefaultDrainTimeout is below the 35 s of TimeoutStopSec= that clusterctl writes, so
	// that Serve can still say what it cut.
	DefaultDrainTimeout = 30 * time.Second

	// DefaultSilence is the keep-alive time of Node.js and of Apache httpd as they come:
	// every client in the field has to live with a connection that is closed after five
	// silent seconds, and one that works steadily speaks more often.
	DefaultSilence = 5 * time.Second
)

// ErrCut says that connections were closed although a request on them may not have
// been answered in full. The error that wraps it says how many, and why.
var ErrCut = errors.New("connections cut off")

// Server is an http.Server with the manners of a worker. [Serve] is a Server with
// nothing but HTTP set.
type Server struct {
	// HTTP is the server. Serve replaces its Handler, ConnState and BaseContext by
	// functions that call the ones found there, so it serves once, as an http.Server
	// does. Its Shutdown must not be called: it drops requests that were just read.
	HTTP *http.Server

	// DrainTimeout bounds the time from the call to stop to the return of Serve.
	// 0 means DefaultDrainTimeout.
	DrainTimeout time.Duration

	// Silence is how long a connection that owes no answer may be silent before it is
	// closed while draining: an idle keep-alive connection since its last answer, a new
	// one since it was accepted. Closing one races with a request that is under way,
	// so it should be longer than the pauses of a client in the middle of its work.
	// 0 means DefaultSilence.
	Silence time.Duration

	// OnDrain is called once when draining begins, in a goroutine of its own, and Serve
	// does not return before it has. It is the place to end what does not end by
	// itself: event streams, and hijacked connections (websockets), which net/http lets
	// go of, so that they are not waited for otherwise and die with the process. The
	// context ends with DrainTimeout or at a second signal.
	OnDrain func(ctx context.Context)

	// Alive decides whether WATCHDOG=1 is sent, when the unit has WatchdogSec=. It is
	// called at half that interval; false, or no return, lets systemd restart the
	// worker. Without it the watchdog sees only that goroutines run.
	Alive func() bool
}

// Serve serves HTTP on the listeners until SIGTERM, SIGINT or the end of ctx, then
// drains, and returns nil when every request has been answered; main then returns.
//
// READY=1 goes out when all listeners accept. To drain means: STOPPING=1; the listeners
// are closed, in this process only; every response from then on, those to requests
// in progress included, says "Connection: close" (HTTP/2: GOAWAY); a new connection is
// answered first; an idle one is left open until it has spoken once more or has been
// silent for five seconds (Server.Silence). Requests keep their contexts. As HTTP has it, what
// a client sends behind a request that is answered with "close" (pipelining) is not answered;
// an idle HTTP/2 connection without TLS is closed without GOAWAY.
//
// The error wraps [ErrCut] when 30 s (Server.DrainTimeout) were not enough or a second
// signal came: then the connections that are left are closed. It is the listener's own
// error when one of them fails, after draining the others.
//
// A listener wrapped by [TLS] is served as http.Server.ServeTLS does. The listeners are
// closed when Serve returns, whatever it returns.
func Serve(ctx context.Context, srv *http.Server, listeners ...net.Listener) error {
	s := Server{HTTP: srv}
	return s.Serve(ctx, listeners...)
}

// TLS marks a listener for [Serve] to speak TLS on, with the certificates of
// http.Server.TLSConfig, HTTP/2 included. Closing either closes both.
func TLS(l net.Listener) net.Listener { return tlsListener{l} }

type tlsListener struct{ net.Listener }

// Serve is the function [Serve] with the settings of s.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	defer closeAll(listeners)
	if len(listeners) == 0 {
		return errors.New("serving HTTP: no listeners")
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stopSignals()...)
	defer signal.Stop(signals)
	stopDogs := s.watchdog()
	defer stopDogs()

	r := newRun(s, listeners)
	err := r.start()
	if err == nil {
		err = r.untilStop(ctx, signals)
	}
	return also(err, r.drain(signals))
}

// stopSignals leaves out SIGINT when it is ignored, as for a background job of a shell.
func stopSignals() []os.Signal {
	if signal.Ignored(os.Interrupt) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGTERM, os.Interrupt}
}

// untilStop returns nil when the server is to stop, and an error when it cannot go on.
func (r *run) untilStop(ctx context.Context, signals <-chan os.Signal) error {
	for told := false; ; {
		if !told && r.started == len(r.listeners) {
			told = true
			// Not ignored: with Type=notify the manager would wait in vain, and kill us without a reason.
			if err := Notify("READY=1", "STATUS=serving"); err != nil {
				return err
			}
		}
		select {
		case <-r.accepting:
			r.started++
		case err := <-r.failed:
			return fmt.Errorf("serving HTTP: %w", err)
		case <-signals:
			r.signalled = true
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// watchdog sends WATCHDOG=1 until the function it returns is called.
func (s *Server) watchdog() (stop func()) {
	interval, enabled := Watchdog()
	if !enabled {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(max(interval/2, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if s.Alive == nil || s.Alive() {
					_ = Notify("WATCHDOG=1") // the next one may get through; if none does, the watchdog is right
				}
			}
		}
	}()
	return func() { close(done) }
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
