package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The function call runs a subcommand and decodes its output.
func call[T any](t *testing.T, args ...string) T {
	t.Helper()
	var b strings.Builder
	if err := dispatch(args, &b); err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal([]byte(b.String()), &v); err != nil {
		t.Fatalf("%s: error %v", b.String(), err)
	}
	return v
}

// serve starts a server that responds like the given number of workers, one after the other.
func serve(t *testing.T, workers int) string {
	t.Helper()
	var n atomic.Int64
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Worker", fmt.Sprint(n.Add(1)%int64(workers)))
		fmt.Fprint(w, "hello\n")
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestTime(t *testing.T) {
	got := call[timings](t, "time", "-n", "3", "--", "sleep", "0.01")
	if len(got.MS) != 3 || slices.Min(got.MS) < 10 {
		t.Errorf("got %v, want 3 times of at least 10 ms", got.MS)
	}
	err := dispatch([]string{"time", "--", "sh", "-c", "echo no such app >&2; exit 3"}, &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no such app") {
		t.Errorf("got error %v, want exit status 3: no such app", err)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	tell := func(out io.Writer, flags ...string) error {
		for {
			l, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := strconv.Itoa(l.LocalAddr().(*net.UDPAddr).Port)
			l.Close()
			// Two datagrams of the same worker count as one datagram.
			script := "for w in 1 1 2; do echo -n $w > /dev/udp/127.0.0.1/" + port + "; done; sleep 1"
			err = dispatch(slices.Concat([]string{"ready", "-port", port}, flags, []string{"--", "bash", "-c", script}), out)
			if !errors.Is(err, syscall.EADDRINUSE) { // try again only if another process uses the port now
				return err
			}
		}
	}
	var b strings.Builder
	if err := tell(&b, "-n", "2"); err != nil {
		t.Fatal(err)
	}
	var got readyTimes
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || got.Command < 1000 || got.Ready <= 0 || got.Ready >= got.Command {
		t.Errorf("%s: error %v", b.String(), err)
	}
	if err := tell(io.Discard, "-n", "3", "-timeout", "5s"); err == nil || !strings.Contains(err.Error(), "only 2 of 3 workers listen") {
		t.Errorf("got error %v, want only 2 of 3 workers listen", err)
	}
}

func TestFetch(t *testing.T) {
	if got := call[answer](t, "fetch", "-port", serve(t, 1)); got.Status != 200 || got.Body != "hello\n" {
		t.Errorf("got %+v, want status 200 and hello", got)
	}
}

func TestSpread(t *testing.T) {
	got := call[counts](t, "spread", "-port", serve(t, 4), "-n", "40", "-gap", "1ms")
	if !slices.Equal(got.Connections, []int{10, 10, 10, 10}) || got.Failed != 0 {
		t.Errorf("got %+v, want 10 connections of each of 4 workers", got)
	}
}

func TestSpreadAfter(t *testing.T) {
	got := call[counts](t, "spread-after", "-port", serve(t, 1), "-clients", "8", "-around", "50ms", "--", "true")
	if !slices.Equal(got.Connections, []int{8}) || got.Failed != 0 {
		t.Errorf("got %+v, want 8 connections of one worker", got)
	}
}

func TestLight(t *testing.T) {
	got := call[light](t, "light", "-port", serve(t, 1), "-for", "200ms", "-rate", "100")
	if len(got.MS) != 20 || got.Failed != 0 || got.Heavy == 0 || !slices.IsSorted(got.MS) {
		t.Errorf("got %+v, want 20 sorted times and no failures", got)
	}
}

// TestBare checks that the time includes the start of the program, and that the client tries again after a refused
// connection.
func TestBare(t *testing.T) {
	port := reserve(t)
	const program = `
import http.server, os, sys, time
time.sleep(0.1)
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('X-Worker', str(os.getpid())); self.send_header('Content-Length', '0'); self.end_headers()
    def log_message(self, *a): pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()`
	got := call[timings](t, "bare", "-port", port, "-n", "2", "--", "python3", "-c", program, port)
	if len(got.MS) != 2 || slices.Min(got.MS) < 100 {
		t.Errorf("got %v, want 2 times of at least 100 ms", got.MS)
	}
}

// reserve returns a port on which no program listens. The port stays bound, so that no other program gets it by chance.
// A program that sets SO_REUSEADDR can still bind this port (ip(7) and socket(7)).
func reserve(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := errors.Join(err, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
}

func TestParseStat(t *testing.T) {
	p, err := parseStat("12 (a) b ( c) S 7 12 12 0\n")
	if err != nil || p.pid != 12 || p.parent != 7 || p.name != "a) b ( c" {
		t.Errorf("got %+v, error %v, want pid 12, parent 7 and the name a) b ( c", p, err)
	}
	for _, s := range []string{"", "12 name S 7", "12 (x) S", "x (x) S 7"} {
		if _, err := parseStat(s); err == nil {
			t.Errorf("parseStat(%q) returned no error", s)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []process{
		{1, 0, "systemd", "0::/init.scope\n", "systemd"}, {10, 1, "node", "0::/a.slice/x@1.service\n", "node"},
		{11, 10, "shim-notify", "0::/a.slice/x@1.service\n", "shim"}, {20, 1, "god", "0::/init.scope\n", "node"},
		{21, 20, "node", "0::/init.scope\n", "node"}, {22, 21, "sh", "0::/init.scope\n", "dash"},
	}
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, []byte("20\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for selector, want := range map[string][]int{
		"cgroup:a.slice": {10, 11}, "tree:" + file: {20, 21, 22}, "pidfile:" + file: {20}, "pid:1": {1},
		"name:node": {10, 21}, "exe:shim": {11}, "all": {1, 10, 11, 20, 21, 22},
	} {
		if got, err := choose(all, selector); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, error %v, want %v", selector, got, err, want)
		}
	}
	for _, selector := range []string{"cgroup:none", "name:none", "exe:none", "tree:/nowhere", "other:1", "pid:x"} {
		if got, err := choose(all, selector); err == nil {
			t.Errorf("%s: got %v, want an error", selector, got)
		}
	}
}

func TestUsage(t *testing.T) {
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
	}
	got := call[[]usage](t, "usage", "-pss", "pid:"+strconv.Itoa(os.Getpid()))
	if len(got) != 1 || got[0].Processes != 1 || got[0].PSS < 500 || got[0].CPU < 10_000 || got[0].Switches == 0 {
		t.Errorf("got %+v, want the usage of one process", got)
	}
}

func TestInFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	if err := os.WriteFile(path, []byte("x 0 .\nother 1 .\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		// Write a line in two parts, because an incomplete line must not be counted.
		for _, part := range []string{"x 1", " .\nx 2 .\n"} {
			time.Sleep(20 * time.Millisecond)
			_, _ = f.WriteString(part)
		}
	}()
	n, _, err := inFiles(filepath.Join(dir, "*.log"), "x", 3)
	if err != nil || n != 3 {
		t.Errorf("got %d lines, error %v, want 3 lines", n, err)
	}
}

// TestFollow uses the command tail as the follower of a file that the server writes.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		for i := range n {
			fmt.Fprintf(f, "%s %d .\n", r.URL.Query().Get("id"), i)
		}
	}))
	defer s.Close()
	port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	got := call[followResults](t, "logfollow", "-port", port, "-n", "3", "-burst", "100", "--", "tail", "-n", "0", "-F", path)
	if len(got.MS) != 3 || got.Missed != 0 || got.Seen != 100 {
		t.Errorf("got %+v, want 3 times, no missed line and 100 lines of the burst", got)
	}
}
