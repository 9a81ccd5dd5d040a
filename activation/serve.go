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

// Default values of the fields of [Server].
const (
	// DefaultDrainTimeout is shorter than TimeoutStopSec= in the units of clusterctl, so that Serve can return
	// the number of cut connections before systemd kills the process.
	DefaultDrainTimeout = 30 * time.Second

	// DefaultSilence is the default keep-alive timeout of Node.js and Apache httpd. So clients can handle a
	// connection that is closed after five silent seconds. A busy client pauses for less than five seconds.
	DefaultSilence = 5 * time.Second
)

// ErrCut means that Serve closed connections on which a response was perhaps not complete. An error that wraps
// ErrCut contains the number of connections and the reason.
var ErrCut = errors.New("connections cut off")

// Server runs an http.Server as a worker of systemd. The function [Serve] uses a Server in which only HTTP is
// set.
type Server struct {
	// HTTP is the server that Serve runs. Serve wraps Handler, ConnState and BaseContext of HTTP, so each
	// http.Server can be used only once. Do not call HTTP.Shutdown, which drops requests that net/http has
	// just read.
	HTTP *http.Server

	// DrainTimeout limits the time from the stop signal to the return of Serve.
	// 0 means DefaultDrainTimeout.
	DrainTimeout time.Duration

	// Silence is how long a connection without a request must be silent before the drain closes the
	// connection. The time counts from the last response, or from accept(2) if there was no request. A request
	// that the client sends at the moment of the close is lost, so Silence should be longer than the pauses of
	// a busy client. 0 means DefaultSilence.
	Silence time.Duration

	// OnDrain is called once in its own goroutine when the drain begins, and Serve waits until OnDrain
	// returns. Use OnDrain to end event streams and hijacked connections (websockets), which do not end by
	// themselves. Serve does not wait for a hijacked connection. ctx ends after DrainTimeout or at a second
	// signal.
	OnDrain func(ctx context.Context)

	// Alive is called at half the interval of WatchdogSec=, if the unit has this setting. If Alive returns
	// true, Serve sends WATCHDOG=1. If Alive returns false or does not return, systemd restarts the worker. If
	// Alive is nil, Serve always sends WATCHDOG=1, so the watchdog only checks that goroutines run.
	Alive func() bool
}

// Serve serves HTTP on the listeners until SIGTERM, SIGINT or the end of ctx. Then Serve drains the
// connections, and returns nil when all requests are answered. main should return after Serve.
//
// Serve sends READY=1 when all listeners accept. The drain has these steps. Serve sends STOPPING=1 and closes
// the listeners in this process only. All later responses, also to requests that are already in progress, have
// "Connection: close" (HTTP/2: GOAWAY). A connection without a request stays open until its first request is
// answered. An idle connection stays open until one more request is answered, or until it has been silent for
// five seconds (Server.Silence). The contexts of requests are not canceled. Requests that a client has
// pipelined after a response with "Connection: close" are not answered. An idle HTTP/2 connection without TLS
// is closed without GOAWAY.
//
// If the drain takes longer than 30 s (Server.DrainTimeout), or at a second signal, Serve closes all open
// connections. If a request was in progress on one of these connections, the error wraps [ErrCut]. If a
// listener fails, Serve drains the other listeners and returns the error of that listener.
//
// Serve uses http.Server.ServeTLS for a listener that [TLS] returned. Serve always closes the listeners before
// it returns.
func Serve(ctx context.Context, srv *http.Server, listeners ...net.Listener) error {
	s := Server{HTTP: srv}
	return s.Serve(ctx, listeners...)
}

// TLS returns a listener on which [Serve] uses TLS and HTTP/2, with the certificates of http.Server.TLSConfig.
// Closing the result closes l.
func TLS(l net.Listener) net.Listener { return tlsListener{l} }

type tlsListener struct{ net.Listener }

// Serve works like the function [Serve], with the settings of s.
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
	return joinErrors(err, r.drain(signals))
}

// stopSignals returns SIGTERM and SIGINT. stopSignals omits SIGINT if the process ignores SIGINT, as a
// background job of a shell does.
func stopSignals() []os.Signal {
	if signal.Ignored(os.Interrupt) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGTERM, os.Interrupt}
}

// untilStop returns nil when the server should stop, and an error when it cannot continue.
func (r *run) untilStop(ctx context.Context, signals <-chan os.Signal) error {
	for reported := false; ; {
		if !reported && r.started == len(r.listeners) {
			reported = true
			// Serve must fail without READY=1: in a unit with Type=notify, systemd would wait for the message
			// and then kill the process.
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
					// The next message may succeed. Without any message, systemd must restart the worker.
					_ = Notify("WATCHDOG=1")
				}
			}
		}
	}()
	return func() { close(done) }
}
