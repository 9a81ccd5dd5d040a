//go:build linux

package activation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// testServer is a Server under test. Its function stop ends the context of Serve.
type testServer struct {
	addr     string
	stop     func()
	draining chan struct{}       // closed when the drain begins
	states   chan http.ConnState // states of all connections, in order
	result   chan error
}

func serve(t *testing.T, s *Server, handler http.HandlerFunc) *testServer {
	t.Helper()
	l := listenTCP(t)
	ctx, cancel := context.WithCancel(context.Background())
	v := &testServer{
		addr:     l.Addr().String(),
		stop:     cancel,
		draining: make(chan struct{}),
		states:   make(chan http.ConnState, 100),
		result:   make(chan error, 1),
	}
	hook := s.OnDrain
	s.OnDrain = func(ctx context.Context) {
		close(v.draining)
		if hook != nil {
			hook(ctx)
		}
	}
	if s.HTTP == nil {
		s.HTTP = new(http.Server)
	}
	s.HTTP.Handler = handler
	s.HTTP.ConnState = func(_ net.Conn, st http.ConnState) { v.states <- st }
	go func() { v.result <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); s.HTTP.Close() })
	return v
}

func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-patience.After(bound):
		t.Fatalf("%s: nothing after %s", what, bound)
		panic("unreachable")
	}
}

// The method begin stops the server and waits until the drain begins.
func (v *testServer) begin(t *testing.T) {
	t.Helper()
	v.stop()
	within(t, "begin of the drain", v.draining)
}

func (v *testServer) until(t *testing.T, want http.ConnState) {
	t.Helper()
	for within(t, "state "+want.String(), v.states) != want {
	}
}

func (v *testServer) end(t *testing.T) {
	t.Helper()
	if err := within(t, "end", v.result); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, addr string) *client {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// The method exchange sends a request, and checks that the response has "Connection:
// close" if closes is true, and does not have it otherwise.
func (c *client) exchange(t *testing.T, request string, closes bool) {
	t.Helper()
	if err := c.send(request); err != nil {
		t.Fatal(err)
	}
	c.want(t, closes)
}

func (c *client) want(t *testing.T, closes bool) {
	t.Helper()
	got, err := c.answer()
	if err != nil {
		t.Fatalf("a request was lost: %v", err)
	}
	if got != closes {
		t.Errorf("the response has Connection: close: %v, want %v", got, closes)
	}
	if closes {
		c.wantFIN(t)
	}
}

// wantFIN checks that the connection was closed with a FIN.
func (c *client) wantFIN(t *testing.T) {
	t.Helper()
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("the connection ended with %v, want EOF", err)
	}
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// TestAcceptedBeforeStop sends a request after the stop, on a connection that was accepted
// before it. http.Server.Shutdown loses this request.
func TestAcceptedBeforeStop(t *testing.T) {
	v := serve(t, new(Server), hello)
	c := connect(t, v.addr)
	v.until(t, http.StateNew)
	v.begin(t)
	c.exchange(t, get, true)
	v.end(t)
}

func TestIdleSendsOneMoreRequest(t *testing.T) {
	v := serve(t, new(Server), hello)
	c := connect(t, v.addr)
	c.exchange(t, get, false)
	v.until(t, http.StateIdle)
	v.begin(t)
	c.exchange(t, get, true)
	v.end(t)
}

func TestOldKeepAlive(t *testing.T) {
	const old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	v := serve(t, new(Server), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		hello(w, r)
	})
	c := connect(t, v.addr)
	c.exchange(t, old, false)
	v.until(t, http.StateIdle)
	v.begin(t)
	c.exchange(t, old, true)
	v.end(t)
}

// TestInProgress checks that a response whose header has not been sent yet gets
// "Connection: close", with each method by which a handler can write it.
func TestInProgress(t *testing.T) {
	for name, write := range map[string]http.HandlerFunc{
		"Write":       func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) },
		"WriteString": hello,
		"WriteHeader": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		},
		"Flush":      func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"FlushError": func(w http.ResponseWriter, _ *http.Request) { http.NewResponseController(w).Flush() },
		"ReadFrom":   func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("hello")) },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"its own":    func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "keep-alive") },
	} {
		t.Run(name, func(t *testing.T) {
			started, finish := make(chan struct{}), make(chan struct{})
			v := serve(t, new(Server), func(w http.ResponseWriter, r *http.Request) {
				close(started)
				<-finish
				if r.Context().Err() != nil {
					t.Error("the request was cancelled")
				}
				write(w, r)
			})
			c := connect(t, v.addr)
			if err := c.send(get); err != nil {
				t.Fatal(err)
			}
			within(t, "request", started)
			v.begin(t)
			close(finish)
			if name == "early hints" {
				if _, err := http.ReadResponse(c.r, nil); err != nil {
					t.Fatal(err)
				}
			}
			c.want(t, true)
			v.end(t)
		})
	}
}

// TestHeaderAlreadySent checks that a connection stays open after a response whose header
// was sent before the drain, until the next response, which has "Connection: close".
func TestHeaderAlreadySent(t *testing.T) {
	started, finish := make(chan struct{}, 2), make(chan struct{})
	v := serve(t, new(Server), func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		started <- struct{}{}
		<-finish
		hello(w, r)
	})
	c := connect(t, v.addr)
	if err := c.send(get); err != nil {
		t.Fatal(err)
	}
	within(t, "request", started)
	v.begin(t)
	close(finish)
	c.want(t, false)
	c.exchange(t, get, true)
	v.end(t)
}

func TestSilentConnectionsEnd(t *testing.T) {
	v := serve(t, &Server{Silence: 50 * time.Millisecond}, hello)
	fresh, idle := connect(t, v.addr), connect(t, v.addr)
	idle.exchange(t, get, false)
	v.until(t, http.StateIdle)
	v.begin(t)
	fresh.wantFIN(t)
	idle.wantFIN(t)
	v.end(t)
}

// TestSlowHeader checks that a client that sends its header slowly does not count as
// silent, although the connection is in StateNew until the header is complete.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	v := serve(t, &Server{Silence: 3 * time.Second}, hello)
	c := connect(t, v.addr)
	v.until(t, http.StateNew)
	v.begin(t)
	for _, piece := range []string{"GET ", "/ ", "HT", "TP", "/1.1", "\r\n", "Host", ": te", "st\r\n", "\r\n"} {
		if err := c.send(piece); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // the client needs 5 s for the header
	}
	c.want(t, true)
	v.end(t)
}

// TestSilenceOfUnixSocket checks that a unix socket with unread data is not silent. The
// kernel does not report the time of the last data on a unix socket.
func TestSilenceOfUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := silentFor(conn, time.Minute); got != time.Minute {
		t.Errorf("without data: silent for %s, want %s", got, time.Minute)
	}
	if _, err := io.WriteString(peer, "x"); err != nil {
		t.Fatal(err)
	}
	if got := silentFor(conn, time.Minute); got != 0 {
		t.Errorf("with unread data: silent for %s, want 0", got)
	}
}

// TestExpiredAndRevived checks that the read deadline of sweep is removed if a request
// arrives at the same time.
func TestExpiredAndRevived(t *testing.T) {
	server, peer := net.Pipe()
	defer peer.Close()
	c := newConns(time.Nanosecond, 0)
	c.setState(server, http.StateNew)
	c.sweep(time.Now().Add(time.Hour))
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Fatal("sweep has not ended a silent connection")
	}
	c.setState(server, http.StateActive)
	go peer.Write([]byte("x"))
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Errorf("reading the body of a request that arrived just after sweep: %v", err)
	}
	c.setState(server, http.StateClosed)
	if c.count() != 0 || c.http1Count() != 0 {
		t.Errorf("%d open connections, %d of them HTTP/1; want none", c.count(), c.http1Count())
	}
}

func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	started, finish := make(chan struct{}), make(chan struct{})
	defer close(finish)
	v := serve(t, &Server{DrainTimeout: 2 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-finish
	})
	busy, _ := connect(t, v.addr), connect(t, v.addr)
	if err := busy.send(get); err != nil {
		t.Fatal(err)
	}
	within(t, "request", started)
	v.stop()
	err := within(t, "end", v.result)
	if !errors.Is(err, ErrCut) || !strings.HasSuffix(err.Error(), "connections cut off: 1 (drain timeout)") {
		t.Errorf("got error %v, want ErrCut for 1 connection", err)
	}
	busy.wantFIN(t)
}

// TestDrainTimeoutOnIdle checks that Serve returns no error if all connections are idle at
// the drain timeout.
func TestDrainTimeoutOnIdle(t *testing.T) {
	t.Parallel()
	v := serve(t, &Server{DrainTimeout: 2 * time.Second, Silence: time.Hour}, hello)
	c, _ := connect(t, v.addr), connect(t, v.addr)
	c.exchange(t, get, false)
	v.until(t, http.StateIdle) // net/http reports this state after it has sent the response
	v.stop()
	v.end(t)
}

func TestHijacked(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	s := &Server{OnDrain: func(ctx context.Context) {
		conn := <-hijacked
		io.WriteString(conn, "bye")
		conn.Close()
	}}
	v := serve(t, s, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "hi ")
		hijacked <- conn
	})
	c := connect(t, v.addr)
	if err := c.send(get); err != nil {
		t.Fatal(err)
	}
	v.until(t, http.StateHijacked)
	v.stop()
	if got, err := io.ReadAll(c.r); string(got) != "hi bye" {
		t.Errorf("read %q, %v, want hi bye", got, err)
	}
	v.end(t)
}

func TestOnDrainIsBounded(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	v := serve(t, &Server{DrainTimeout: 50 * time.Millisecond, OnDrain: func(context.Context) { <-never }}, hello)
	v.stop()
	if err := within(t, "end", v.result); err == nil || !strings.Contains(err.Error(), "OnDrain has not returned") {
		t.Errorf("got error %v, want OnDrain has not returned", err)
	}
}

// TestWriterKeepsItsInterfaces checks that the wrapped writer has all methods that
// handlers and http.ResponseController use.
func TestWriterKeepsItsInterfaces(t *testing.T) {
	v := serve(t, new(Server), func(w http.ResponseWriter, _ *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, readerFrom := w.(io.ReaderFrom)
		_, stringWriter := w.(io.StringWriter)
		_, notifier := w.(interface{ CloseNotify() <-chan bool })
		rc := http.NewResponseController(w)
		later := time.Now().Add(time.Hour)
		fmt.Fprintln(w, flusher, hijacker, readerFrom, stringWriter, notifier,
			rc.SetReadDeadline(later), rc.SetWriteDeadline(later), rc.EnableFullDuplex())
	})
	resp, err := http.Get("http://" + v.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "true true true true true <nil> <nil> <nil>\n" {
		t.Errorf("got %s, want all interfaces and no errors", body)
	}
}

func TestSwitchingProtocols(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	v := serve(t, new(Server), func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-finish
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "test")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})
	c := connect(t, v.addr)
	if err := c.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	within(t, "request", started)
	v.begin(t)
	close(finish)
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Connection") != "Upgrade" {
		t.Errorf("got %v, %v, want status 101 with Connection: Upgrade", resp, err)
	}
	c.conn.Close()
	v.end(t)
}

func TestListenerFails(t *testing.T) {
	l, broken := listenTCP(t), listenTCP(t)
	broken.SetDeadline(time.Now().Add(-time.Hour)) // after this accept error, http.Server.Serve returns
	s := &http.Server{Handler: http.HandlerFunc(hello)}
	broken.Close()
	err := Serve(context.Background(), s, l, broken)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got error %v, want net.ErrClosed", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the other listener is open: %v", err)
	}
	if err := Serve(context.Background(), new(http.Server)); err == nil {
		t.Error("Serve returned no error without listeners")
	}
}
