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

// serve calls handle for each connection, until the test ends. Connections are numbered in order of
// arrival.
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

// readRequest reads one request head. It returns false at the end of the connection.
func readRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	return err == nil && req.Body.Close() == nil
}

func answer(c io.Writer, extra string) {
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sX-Worker: w1\r\nContent-Length: 2\r\n\r\nok", extra)
}

// reset makes Close send RST.
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
		t.Errorf("want %d requests, but the kinds sum to %d: %v", o.Requests, sum, r)
	}
	if want := min(r.Failed(), 20); len(r.Errors) != want {
		t.Errorf("got %d errors in Errors, want %d", len(r.Errors), want)
	}
	return r
}

// TestKinds checks that each kind of failure is counted as this kind.
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
					t.Errorf("keep-alive %t: %d of %d: %v", keepAlive, got, r.Requests, r)
				}
			}
		})
	}
}

// TestRefused connects to addresses without a listener.
func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if r := run(t, l, load.Options{}); r.Refused != r.Requests {
		t.Errorf("unexpected report: %v", r)
	}
	missing := "unix:" + filepath.Join(t.TempDir(), "missing.sock")
	if r := run(t, nil, load.Options{URL: missing}); r.Refused != r.Requests {
		t.Errorf("unexpected report: %v", r)
	}
	dead := filepath.Join(t.TempDir(), "dead.sock")
	u, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	u.SetUnlinkOnClose(false)
	u.Close()
	if r := run(t, nil, load.Options{URL: "unix:" + dead}); r.Refused != r.Requests {
		t.Errorf("unexpected report: %v", r)
	}
}

// TestTimeout checks that a request without a response is a timeout, on an accepted connection and in the
// backlog.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	l := serve(t, "tcp", "127.0.0.1:0", func(net.Conn, int64) { <-release })
	t.Cleanup(func() { close(release) })
	r := run(t, l, load.Options{Requests: 4, Timeout: 50 * time.Millisecond})
	if r.Timeouts != 4 {
		t.Errorf("unexpected report: %v", r)
	}
	path := filepath.Join(t.TempDir(), "full.sock")
	u, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if r := run(t, nil, load.Options{URL: "unix:" + path, Requests: 4, Timeout: 50 * time.Millisecond}); r.Timeouts != 4 {
		t.Errorf("unexpected report: %v", r)
	}
}

// TestNeverRetries closes a kept connection after its second response without Connection: close. The
// third request is lost, and must not be sent again: the server must see each number once.
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
		t.Errorf("want every third request lost: %v", r)
	}
	mu.Lock()
	defer mu.Unlock()
	for n, times := range seen {
		if times != 1 {
			t.Errorf("request %s was sent %d times", n, times)
		}
	}
	if len(seen) != 30 {
		t.Errorf("the server saw %d requests, want 30", len(seen))
	}
}

// TestConnectionClose announces the end of a connection in its second response. No request may be lost.
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
		t.Errorf("unexpected report: %v", r)
	}
}

// TestNoticeClose closes a connection in the same segment as its response, so that the client's host
// already knows that the connection is closed when the client has read the response. Without NoticeClose,
// the next request is lost. With it, the client opens a new connection.
func TestNoticeClose(t *testing.T) {
	took := make(chan time.Duration, 6) // for each connection
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
	// The kernel holds data back for at most 200 ms, so a run with a slower server is repeated.
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
		t.Fatal("each run had 150 ms between a response and the close")
		return load.Report{}
	}
	o := load.Options{KeepAlive: true, Requests: 6, Conns: 1}
	if r := corked(o); r.OK != 3 || r.Broken() != 3 {
		t.Errorf("without NoticeClose: %v", r)
	}
	o.NoticeClose = true
	if r := corked(o); r.OK != 6 || r.IdleClosed != 5 {
		t.Errorf("with NoticeClose: %v", r)
	}
}

// cork holds back written data until the connection is closed (tcp(7)).
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

// TestFamilies checks IPv4, IPv6 and unix sockets, the path of a request, and the names of the workers.
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

// TestAfterKills checks that each killed worker may cost each client one lost request, but no refused
// connection.
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
			t.Errorf("%d kills: %v; %v", c.kills, err, c.report)
		}
	}
}
