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
	// DefaultDrainTimeout is shorter than TimeoutStopSec= in the units of clusterctl, so that
	// Serve can return how many connections it cut.
	DefaultDrainTimeout = 30 * time.Second

	// DefaultSilence is the default keep-alive timeout of Node.js and Apache httpd. All clients
	// can handle a connection that is closed after five silent seconds, and a busy client
	// sends requests more often.
	DefaultSilence = 5 * time.Second
)

// ErrCut means that connections were closed although a request on them was perhaps not
// answered completely. The error that wraps it gives the number and the reason.
var ErrCut = errors.New("connections cut off")

// Server runs an http.Server as a worker of systemd. [Serve] uses a Server in which only HTTP
// is set.
type Server struct {
	// HTTP is the server. Serve wraps its Handler, ConnState and BaseContext, so it can be
	// used only once, like an http.Server. Do not call its Shutdown, which drops requests
	// that were just read.
	HTTP *http.Server

	// DrainTimeout limits the time from the stop signal to the return of Serve.
	// 0 means DefaultDrainTimeout.
	DrainTimeout time.Duration

	// Silence is the time after which the drain closes a connection without an open request:
	// for a keep-alive connection counted from its last response, for a new connection from
	// accept. A request that is already on its way can be lost, so the time should be longer
	// than the pauses of a busy client. 0 means DefaultSilence.
	Silence time.Duration

	// OnDrain is called once in its own goroutine when the drain begins, and Serve waits for
	// it. Use it to end streams that do not end by themselves: event streams, and hijacked
	// connections (websockets). net/http does not track hijacked connections, so without
	// OnDrain they end with the process. The context ends after DrainTimeout or at a second
	// signal.
	OnDrain func(ctx context.Context)

	// Alive decides whether Serve sends WATCHDOG=1, if the unit has WatchdogSec=. It is called
	// at half that interval. If it returns false or does not return, systemd restarts the
	// worker. Without Alive, the watchdog only checks that goroutines run.
	Alive func() bool
}

// Serve serves HTTP on the listeners until SIGTERM, SIGINT or the end of ctx. Then it drains,
// and returns nil when all requests are answered. After that, main should return.
//
// Serve sends READY=1 when all listeners accept. The drain has these steps. Serve sends
// STOPPING=1 and closes the listeners in this process only. All later responses, also to
// requests that are already in progress, have "Connection: close" (HTTP/2: GOAWAY). A new
// connection stays open until its first request is answered. An idle connection stays open
// until one more request is answered, or until it has been silent for five seconds
// (Server.Silence). Requests keep their contexts. Requests that a client has pipelined after a
// response with "Connection: close" are not answered. An idle HTTP/2 connection without TLS is
// closed without GOAWAY.
//
// The error wraps [ErrCut] if 30 s (Server.DrainTimeout) were not enough, or a second signal
// came. Serve then closes the connections that are left. If a listener fails, Serve drains the
// other listeners and returns the error of that listener.
//
// Serve uses http.Server.ServeTLS for a listener that [TLS] returned. It always closes the
// listeners before it returns.
func Serve(ctx context.Context, srv *http.Server, listeners ...net.Listener) error {
	s := Server{HTTP: srv}
	return s.Serve(ctx, listeners...)
}

// TLS returns a listener on which [Serve] uses TLS, with the certificates of
// http.Server.TLSConfig, and HTTP/2. Closing one of them closes both.
func TLS(l net.Listener) net.Listener { return tlsListener{l} }

type tlsListener struct{ net.Listener }

// Serve does the same as the function [Serve], with the settings of s.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	if len(listeners) == 0 {
		return errors.New("serving HTTP: no listeners")
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stopSignals()...)
	defer signal.Stop(signals)
	defer s.watchdog()()

	r := newRun(s, listeners)
	err := r.start()
	if err == nil {
		err = r.untilStop(ctx, signals)
	}
	return also(err, r.drain(signals))
}

// stopSignals returns SIGTERM and SIGINT. It omits SIGINT if it is ignored, as in a background job of a shell.
func stopSignals() []os.Signal {
	if signal.Ignored(os.Interrupt) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGTERM, os.Interrupt}
}

// untilStop returns nil when the server should stop, and an error when it cannot continue.
func (r *run) untilStop(ctx context.Context, signals <-chan os.Signal) error {
	for told := false; ; {
		if !told && r.started == len(r.listeners) {
			told = true
			// This error matters: with Type=notify, systemd would wait for READY=1 and then kill the process.
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

// watchdog sends WATCHDOG=1 until the returned function is called.
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
					_ = Notify("WATCHDOG=1") // the next message may arrive; if none arrives, a restart is right
				}
			}
		}
	}()
	return func() { close(done) }
}
