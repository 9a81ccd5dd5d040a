package load_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// serve listens until the test ends, and calls handle for each connection with its number, from 1.
func serve(t *testing.T, network, address string, handle func(c net.Conn, n int64)) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var n atomic.Int64
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c, n.Add(1))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l
}

// readRequest reads one request head. readRequest returns false at the end of the connection.
func readRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	return err == nil && req.Body.Close() == nil
}

func answer(c io.Writer, extra string) {
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sX-Worker: w1\r\nContent-Length: 2\r\n\r\nok", extra)
}

// The function reset makes a later Close send RST.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

func run(t *testing.T, l net.Listener, o load.Options) load.Report {
	t.Helper()
	if o.URL == "" {
		o.URL = "http://" + l.Addr().String() + "/"
	}
	if o.Requests == 0 {
		o.Requests = 20
	}
	if o.Conns == 0 {
		o.Conns = 2
	}
	r := load.Start(t, load.Host(), o).Wait()
	sum := r.OK + r.Refused + r.Reset + r.EOF + r.Timeouts + r.BadStatus + r.Other
	if r.Requests != o.Requests || sum != r.Requests {
		t.Errorf("the sum of all kinds is %d, want %d requests: %v", sum, o.Requests, r)
	}
	if want := min(r.Failed(), 20); len(r.Errors) != want {
		t.Errorf("got %d errors in Errors, want %d", len(r.Errors), want)
	}
	return r
}

// TestKinds checks how each kind of result is counted.
func TestKinds(t *testing.T) {
	one := func(f func(c net.Conn)) func(net.Conn, int64) {
		return func(c net.Conn, _ int64) {
			if readRequest(bufio.NewReader(c)) {
				f(c)
			}
		}
	}
	write := func(s string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, s) } }
	tests := []struct {
		name   string
		handle func(net.Conn, int64)
		kind   func(load.Report) int
	}{
		{"ok", one(func(c net.Conn) { answer(c, "Connection: close\r\n") }), func(r load.Report) int { return r.OK }},
		{"closed after the request", one(func(net.Conn) {}), func(r load.Report) int { return r.EOF }},
		{"closed within the head", one(write("HTTP/1.1 200 OK\r\nContent-Le")), func(r load.Report) int { return r.EOF }},
		{"closed within the body", one(write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
			func(r load.Report) int { return r.EOF }},
		{"closed within a chunk", one(write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal")),
			func(r load.Report) int { return r.EOF }},
		{"reset after the request", one(reset), func(r load.Report) int { return r.Reset }},
		{"closed after accept", func(net.Conn, int64) {}, func(r load.Report) int { return r.Broken() }},
		{"reset after accept", func(c net.Conn, _ int64) { reset(c) }, func(r load.Report) int { return r.Reset }},
		{"bad status", one(write("HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")),
			func(r load.Report) int { return r.BadStatus }},
		{"redirect", one(write("HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")),
			func(r load.Report) int { return r.BadStatus }},
		{"not HTTP", one(write("220 mail.example ESMTP\r\n\r\n")), func(r load.Report) int { return r.Other }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := serve(t, "tcp", "127.0.0.1:0", tt.handle)
			for _, keepAlive := range []bool{false, true} {
				r := run(t, l, load.Options{KeepAlive: keepAlive})
				if got := tt.kind(r); got != r.Requests {
					t.Errorf("keep-alive %t: %d requests have the right kind, want %d: %v", keepAlive, got, r.Requests, r)
				}
			}
		})
	}
}

// TestRefused checks that requests to addresses without a listener are counted as refused.
func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if r := run(t, l, load.Options{}); r.Refused != r.Requests {
		t.Errorf("a closed port: got %v, want all requests refused", r)
	}
	missing := "unix:" + filepath.Join(t.TempDir(), "missing.sock")
	if r := run(t, nil, load.Options{URL: missing}); r.Refused != r.Requests {
		t.Errorf("a missing socket: got %v, want all requests refused", r)
	}
	dead := filepath.Join(t.TempDir(), "dead.sock")
	u, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	u.SetUnlinkOnClose(false)
	u.Close()
	if r := run(t, nil, load.Options{URL: "unix:" + dead}); r.Refused != r.Requests {
		t.Errorf("a socket without a listener: got %v, want all requests refused", r)
	}
}

// TestTimeout checks that requests without a response are counted as timeouts, on accepted connections and in the backlog.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	l := serve(t, "tcp", "127.0.0.1:0", func(net.Conn, int64) { <-release })
	t.Cleanup(func() { close(release) })
	r := run(t, l, load.Options{Requests: 4, Timeout: 50 * time.Millisecond})
	if r.Timeouts != 4 {
		t.Errorf("got %v, want 4 timeouts", r)
	}
	path := filepath.Join(t.TempDir(), "full.sock")
	u, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if r := run(t, nil, load.Options{URL: "unix:" + path, Requests: 4, Timeout: 50 * time.Millisecond}); r.Timeouts != 4 {
		t.Errorf("got %v, want 4 timeouts", r)
	}
}

// TestNeverRetries checks that a lost request is not sent again. The server closes each connection at the third request,
// without Connection: close in an earlier response. The server must receive each request number once.
func TestNeverRetries(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int)
	l := serve(t, "tcp", "127.0.0.1:0", func(c net.Conn, _ int64) {
		in := bufio.NewReader(c)
		for i := range 3 {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			mu.Lock()
			seen[req.Header.Get("X-Request")]++
			mu.Unlock()
			if i < 2 {
				answer(c, "")
			}
		}
	})
	r := run(t, l, load.Options{KeepAlive: true, Requests: 30, Conns: 1})
	if r.OK != 20 || r.EOF != 10 || r.Dials != 10 {
		t.Errorf("got %v, want 10 of 30 requests lost", r)
	}
	mu.Lock()
	defer mu.Unlock()
	for n, times := range seen {
		if times != 1 {
			t.Errorf("request %s was sent %d times", n, times)
		}
	}
	if len(seen) != 30 {
		t.Errorf("the server received %d requests, want 30", len(seen))
	}
}

// TestConnectionClose checks that no request is lost if the second response on each connection has Connection: close.
func TestConnectionClose(t *testing.T) {
	l := serve(t, "tcp", "127.0.0.1:0", func(c net.Conn, _ int64) {
		in := bufio.NewReader(c)
		if readRequest(in) {
			answer(c, "")
		}
		if readRequest(in) {
			answer(c, "Connection: close\r\n")
		}
	})
	r := run(t, l, load.Options{KeepAlive: true, Requests: 20, Conns: 1})
	if r.OK != 20 || r.Dials != 10 || r.AnnouncedClose != 10 {
		t.Errorf("got %v, want no request lost", r)
	}
}

// TestNoticeClose sends the FIN of a connection in the same segment as the response, so that the FIN has arrived when the
// client has read the response. Without NoticeClose, the next request is lost. With NoticeClose, the client opens a new
// connection.
func TestNoticeClose(t *testing.T) {
	took := make(chan time.Duration, 6) // time of the server from the response to the close, per connection
	l := serve(t, "tcp", "127.0.0.1:0", func(c net.Conn, _ int64) {
		begin := time.Now()
		if readRequest(bufio.NewReader(c)) {
			cork(t, c)
			begin = time.Now()
			answer(c, "")
			_ = c.(*net.TCPConn).CloseWrite()
		}
		took <- time.Since(begin)
	})
	// With TCP_CORK, the kernel sends data after 200 ms at the latest. So a run is repeated if the server took 150 ms before
	// the close.
	corked := func(o load.Options) load.Report {
		for range 20 {
			r, slowest := run(t, l, o), time.Duration(0)
			for range r.Dials {
				slowest = max(slowest, <-took)
			}
			if slowest < 150*time.Millisecond {
				return r
			}
		}
		t.Fatal("the server took 150 ms before a close in each of 20 runs")
		return load.Report{}
	}
	o := load.Options{KeepAlive: true, Requests: 6, Conns: 1}
	if r := corked(o); r.OK != 3 || r.Broken() != 3 {
		t.Errorf("without NoticeClose: got %v, want 3 of 6 requests lost", r)
	}
	o.NoticeClose = true
	if r := corked(o); r.OK != 6 || r.IdleClosed != 5 {
		t.Errorf("with NoticeClose: got %v, want no request lost", r)
	}
}

// The function cork delays written data until the connection is closed (tcp(7), TCP_CORK).
func cork(t *testing.T, c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			if e := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1); e != nil {
				t.Error(e)
			}
		})
	}
	if err != nil {
		t.Error(err)
	}
}

// TestFamilies checks requests over IPv4, IPv6 and Unix sockets, their paths, and the names of the workers.
func TestFamilies(t *testing.T) {
	for _, tt := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"unix", filepath.Join(t.TempDir(), "app.sock")},
	} {
		l, err := net.Listen(tt.network, tt.address)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, r.URL.RequestURI()) // a short body is used as the worker's name
		})}
		t.Cleanup(func() { srv.Close() })
		go srv.Serve(l)
		u := "http://" + l.Addr().String() + "/a?b=c"
		if tt.network == "unix" {
			u = "unix:" + tt.address + ":/a?b=c"
		}
		r := run(t, nil, load.Options{URL: u, KeepAlive: true})
		if r.OK != 20 || r.Workers["/a?b=c"] != 20 || r.Dials > 2 {
			t.Errorf("%s: got %v", tt.network, r)
		}
	}
}

// TestAfterKills checks that AfterKills accepts one lost request per client and killed worker, but no refused connection.
func TestAfterKills(t *testing.T) {
	for _, c := range []struct {
		report load.Report
		kills  int
		want   bool
	}{
		{load.Report{Clients: 8, Requests: 100, OK: 100}, 0, true},
		{load.Report{Clients: 8, Requests: 100, OK: 99, Reset: 1}, 0, false},
		{load.Report{Clients: 8, Requests: 100, OK: 92, Reset: 6, EOF: 2}, 1, true},
		{load.Report{Clients: 8, Requests: 100, OK: 91, Reset: 6, EOF: 3}, 1, false},
		{load.Report{Clients: 8, Requests: 100, OK: 76, Reset: 24}, 3, true},
		{load.Report{Clients: 8, Requests: 100, OK: 75, Reset: 25}, 3, false},
		{load.Report{Clients: 8, Requests: 100, OK: 99, Refused: 1}, 3, false},
		{load.Report{Clients: 8, Requests: 100, OK: 99, Timeouts: 1}, 3, false},
	} {
		if err := c.report.AfterKills(c.kills); (err == nil) != c.want {
			t.Errorf("%d kills: got %v for %v, want an error: %v", c.kills, err, c.report, !c.want)
		}
	}
}
