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

// TestPauseWithinAnAnswer: an answer with a pause longer than Idle between its parts is not cut, since its request is
// younger than Answer.
func TestPauseWithinAnAnswer(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, body := get(t, c.addr, "/parts")
	if _, err := io.ReadFull(body, make([]byte, len("hel"))); err != nil {
		t.Fatal(err)
	}
	opt := patient
	opt.Answer, opt.Stream = 20*time.Second, 20*time.Second
	end := c.begin(w, opt)
	rest, err := io.ReadAll(body)
	if err != nil || string(rest) != "lo\n" {
		t.Errorf("the rest of the answer: %q, %v", rest, err)
	}
	conn.Close()
	if r, err := end(); err != nil || r.Reason != "" || r.Left != 0 {
		t.Errorf("the drain returned %+v, %v", r, err)
	}
}

// TestStream: the drain does not wait for a stream without an end, and its reason names the peer.
func TestStream(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, body := get(t, c.addr, "/events")
	if _, err := io.ReadFull(body, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, body)
	r, err := c.run(w, patient)
	if err != nil || r.Streams != 1 || r.Left != 0 {
		t.Errorf("the drain returned %+v, %v, want one stream", r, err)
	}
	if peer := conn.LocalAddr().String(); !strings.Contains(r.Reason, peer) || !strings.Contains(r.Reason, "without a new request") {
		t.Errorf("reason %q, want the peer %s", r.Reason, peer)
	}
}

// TestDownload: a large body is not a stream, even if its client is slow.
func TestDownload(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve")
	w := c.start()
	conn, body := get(t, c.addr, "/large")
	if _, err := io.ReadFull(body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	opt := patient
	opt.Busy = 200 * time.Millisecond
	end := c.begin(w, opt)
	await(t, func() bool { return listenerEntries(t, w.cmd.Process.Pid) == 0 })
	// The client pauses for longer than Busy, and then continues.
	time.Sleep(3 * opt.Busy)
	n, err := io.Copy(io.Discard, body)
	if err != nil || n != largeBody-1<<20 {
		t.Errorf("read %d bytes after the pause, %v", n, err)
	}
	conn.Close()
	if r, err := end(); err != nil || r.Streams != 0 || r.Reason != "" {
		t.Errorf("the drain returned %+v, %v", r, err)
	}
}

// TestCrowd: a drain ends in time even if the worker has very many epoll entries of its listener.
func TestCrowd(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve", "crowd")
	w := c.start()
	await(t, func() bool { _, err := os.Stat(w.ready); return err == nil })
	opt := patient
	opt.Timeout = time.Millisecond
	r, err := c.run(w, opt)
	if err != nil || r.Removed == crowd*crowds || !strings.Contains(r.Reason, "time is up") {
		t.Errorf("the drain returned %+v, %v, want the end of its time", r, err)
	}
	opt.Timeout = patient.Timeout
	if r, err = c.run(w, opt); err != nil || r.Removed == 0 || r.Reason != "" {
		t.Errorf("with enough time the drain returned %+v, %v", r, err)
	}
	if n := listenerEntries(t, w.cmd.Process.Pid); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// TestUring: a program that accepts by io_uring is stopped without a drain, with the reason and a hint.
func TestUring(t *testing.T) {
	c := newCluster(t, nil, "/proc/self/exe", "serve", "uring")
	w := c.start()
	await(t, func() bool { _, err := os.Stat(w.ready); return err == nil })
	if err := (&client{addr: c.addr, path: "/"}).request(); err != nil {
		t.Fatalf("the server does not serve: %v", err)
	}
	for _, mode := range []drain.Mode{drain.ModeEpoll, drain.ModeAccept} {
		opt := patient
		opt.Mode = mode
		r, err := c.run(w, opt)
		if err != nil || !strings.Contains(r.Reason, "accepts by io_uring") || !strings.Contains(r.Reason, "hint: ") {
			t.Errorf("the drain returned %+v, %v", r, err)
		}
	}
}

// get sends a request and returns the body of the answer.
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

// The listener of serveCrowd is in crowds epoll instances, with crowd entries in each.
const (
	crowds = 10
	crowd  = 8000
)

func serveCrowd() int {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 1
	}
	lim.Cur = lim.Max
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 1
	}
	for range crowds {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return 1
		}
		for number := 100; number < 100+crowd; number++ {
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

// serveUring accepts by io_uring and answers one request on each connection.
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
