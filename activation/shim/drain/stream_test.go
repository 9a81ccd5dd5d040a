package drain_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// TestPauseWithinResponse: a response that pauses for longer than Idle between its parts is not cut, because its request
// is younger than RequestAge.
func TestPauseWithinResponse(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, body := get(t, c.addr, "/parts")
	if _, err := io.ReadFull(body, make([]byte, len("hel"))); err != nil {
		t.Fatal(err)
	}
	opt := shortLimits
	opt.RequestAge, opt.StreamAge = 20*time.Second, 20*time.Second
	end := c.begin(w, opt)
	rest, err := io.ReadAll(body)
	if err != nil || string(rest) != "lo\n" {
		t.Errorf("the rest of the response is %q, %v, want \"lo\\n\"", rest, err)
	}
	conn.Close()
	if r, err := end(); err != nil || r.Reason != "" || r.Left != 0 {
		t.Errorf("the drain returned %+v, %v, want a complete drain", r, err)
	}
}

// TestStream: the drain does not wait for a stream that never ends, and Reason contains the address of the peer.
func TestStream(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, body := get(t, c.addr, "/events")
	if _, err := io.ReadFull(body, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, body)
	r, err := c.run(w, shortLimits)
	if err != nil || r.Streams != 1 || r.Left != 0 {
		t.Errorf("the drain returned %+v, %v, want one stream", r, err)
	}
	if peer := conn.LocalAddr().String(); !strings.Contains(r.Reason, peer) || !strings.Contains(r.Reason, "no new request") {
		t.Errorf("reason %q, want the peer %s", r.Reason, peer)
	}
}

// TestDownload: a response with a large body is not a stream, even if the client reads slowly.
func TestDownload(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, body := get(t, c.addr, "/large")
	if _, err := io.ReadFull(body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	opt := shortLimits
	opt.Busy = 200 * time.Millisecond
	end := c.begin(w, opt)
	await(t, func() bool { return listenerEntries(t, w.cmd.Process.Pid) == 0 })
	// The client pauses for longer than Busy, and then continues.
	time.Sleep(3 * opt.Busy)
	n, err := io.Copy(io.Discard, body)
	if err != nil || n != largeBody-1<<20 {
		t.Errorf("read %d bytes after the pause, %v, want %d", n, err, largeBody-1<<20)
	}
	conn.Close()
	if r, err := end(); err != nil || r.Streams != 0 || r.Reason != "" {
		t.Errorf("the drain returned %+v, %v, want a complete drain without a stream", r, err)
	}
}

// TestManyEntries: a drain ends within its time limit even if the worker has very many epoll entries of its listener.
func TestManyEntries(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve", "many")
	w := c.start()
	await(t, func() bool { _, err := os.Stat(w.ready); return err == nil })
	opt := shortLimits
	opt.Timeout = time.Millisecond
	r, err := c.run(w, opt)
	if err != nil || r.Removed == instances*entriesEach || !strings.Contains(r.Reason, "time is up") {
		t.Errorf("the drain returned %+v, %v, want the time limit as the reason", r, err)
	}
	opt.Timeout = shortLimits.Timeout
	if r, err = c.run(w, opt); err != nil || r.Removed == 0 || r.Reason != "" {
		t.Errorf("with enough time the drain returned %+v, %v, want a complete drain", r, err)
	}
	if n := listenerEntries(t, w.cmd.Process.Pid); n != 0 {
		t.Errorf("%d entries are left, want 0", n)
	}
}

// TestUring: the drain of a program that accepts by io_uring does nothing, and Reason contains a hint.
func TestUring(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve", "uring")
	w := c.start()
	await(t, func() bool { _, err := os.Stat(w.ready); return err == nil })
	if err := (&client{addr: c.addr, path: "/"}).request(); err != nil {
		t.Fatalf("request before the drain: %v", err)
	}
	for _, mode := range []drain.Mode{drain.ModeEpoll, drain.ModeAccept} {
		opt := shortLimits
		opt.Mode = mode
		r, err := c.run(w, opt)
		if err != nil || !strings.Contains(r.Reason, "accepts by io_uring") || !strings.Contains(r.Reason, "hint: ") {
			t.Errorf("the drain returned %+v, %v, want io_uring and a hint as the reason", r, err)
		}
	}
}

// The function get sends a request on a new connection, and returns the connection and the body of the response.
func get(t *testing.T, addr, path string) (net.Conn, io.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, resp.Body
}

// The number of epoll instances of serveMany, and of the entries in each instance.
const (
	instances   = 10
	entriesEach = 8000
)

// serveMany adds the listener to many epoll instances, with many descriptor numbers in each.
func serveMany() int {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 1
	}
	lim.Cur = lim.Max
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 1
	}
	for range instances {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return 1
		}
		for number := 100; number < 100+entriesEach; number++ {
			if unix.Dup3(3, number, unix.O_CLOEXEC) != nil ||
				unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, number, &unix.EpollEvent{Events: unix.EPOLLIN}) != nil {
				return 1
			}
		}
	}
	os.WriteFile(os.Getenv("READY"), nil, 0o644)
	forever()
	return 0
}

// serveUring accepts by io_uring and responds to one request on each connection.
func serveUring() int {
	ring, err := newRing()
	if err != nil {
		io.WriteString(os.Stderr, err.Error()+"\n")
		return 1
	}
	os.WriteFile(os.Getenv("READY"), nil, 0o644)
	for {
		fd, err := ring.accept(3)
		if err != nil {
			return 1
		}
		unix.SetNonblock(fd, false)
		unix.Read(fd, make([]byte, 4096))
		unix.Write(fd, []byte("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"))
		unix.Close(fd)
	}
}
