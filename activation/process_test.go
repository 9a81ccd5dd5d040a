//go:build linux

package activation

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// The text hold is a request to /hold without the end of its body, and the text release is this end. The server responds
// after release.
const (
	hold    = "POST /hold HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
	release = "0\r\n\r\n"
)

func TestMessages(t *testing.T) {
	l := listenTCP(t)
	w := startWorker(t, "worker", []*os.File{share(t, l)}, "WATCHDOG_USEC=200000")
	if got := w.expect(t, "READY=1"); got != "READY=1\nSTATUS=serving" {
		t.Errorf("got %q, want READY=1 and STATUS=serving", got)
	}
	w.expect(t, "WATCHDOG=1")
	w.expect(t, "WATCHDOG=1")
	c := connect(t, l.Addr().String())
	c.exchange(t, get, false) // waits until the server has accepted the connection
	if err := c.send(hold); err != nil {
		t.Fatal(err)
	}
	w.signal(t, syscall.SIGTERM)
	if got := w.expect(t, "STOPPING=1"); got != "STOPPING=1\nSTATUS=draining, 1 connection left" {
		t.Errorf("got %q, want STATUS=draining, 1 connection left", got)
	}
	if got := w.expect(t, "EXTEND_TIMEOUT_USEC="); got != "EXTEND_TIMEOUT_USEC=35000000" {
		t.Errorf("got %q, want 35000000", got)
	}
	w.expect(t, "WATCHDOG=1") // the watchdog also works during the drain
	if err := c.send(release); err != nil {
		t.Fatal(err)
	}
	c.want(t, true)
	if status := w.exit(t); status != 0 {
		t.Errorf("exit status %d: %s", status, w.stderr)
	}
}

func TestWatchdogOfAnotherProcess(t *testing.T) {
	w := startWorker(t, "worker", []*os.File{share(t, listenTCP(t))}, "WATCHDOG_USEC=2000", "WATCHDOG_PID=1")
	w.expect(t, "READY=1")
	w.signal(t, os.Interrupt)
	w.expect(t, "STOPPING=1")
	if status := w.exit(t); status != 0 {
		t.Errorf("exit status %d: %s", status, w.stderr)
	}
	b := make([]byte, 4096)
	for {
		w.messages.SetReadDeadline(time.Now())
		n, err := w.messages.Read(b)
		if err != nil {
			break
		}
		if bytes.HasPrefix(b[:n], []byte("WATCHDOG")) {
			t.Error("WATCHDOG=1 was sent for another process")
		}
	}
}

func TestSecondSignal(t *testing.T) {
	l := listenTCP(t)
	w := startWorker(t, "worker", []*os.File{share(t, l)})
	w.expect(t, "READY=1")
	c := connect(t, l.Addr().String())
	// After the second signal, Serve drops requests that no handler has read. So wait until the handler reads the
	// request.
	if err := c.send(strings.Replace(hold, "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1)); err != nil {
		t.Fatal(err)
	}
	if line, err := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v, want 100 Continue", line, err)
	}
	w.signal(t, syscall.SIGTERM)
	w.expect(t, "STOPPING=1")
	w.signal(t, syscall.SIGTERM)
	if status := w.exit(t); status != 3 || !strings.Contains(w.stderr.String(), "connections cut off: 1 (second signal)") {
		t.Errorf("exit status %d: %s", status, w.stderr)
	}
}

// TestContextOfTheSameSignal tests a program that passes the context of signal.NotifyContext. One SIGTERM then ends the
// context and also reaches Serve, which must not count the signal twice.
func TestContextOfTheSameSignal(t *testing.T) {
	for range 10 { // Serve may receive the signal before or after the end of the context
		l := listenTCP(t)
		w := startWorker(t, "context", []*os.File{share(t, l)})
		w.expect(t, "READY=1")
		c := connect(t, l.Addr().String())
		c.exchange(t, get, false)
		if err := c.send(hold); err != nil {
			t.Fatal(err)
		}
		w.signal(t, syscall.SIGTERM)
		w.expect(t, "EXTEND_TIMEOUT_USEC=")
		if err := c.send(release); err != nil {
			t.Fatal(err)
		}
		c.want(t, true)
		if status := w.exit(t); status != 0 {
			t.Errorf("exit status %d: %s", status, w.stderr)
		}
	}
}

// TestAcceptBlocks clears O_NONBLOCK, as systemd does at each start without NonBlocking=yes. The next accept blocks in
// the kernel. The worker must still end, and the error must contain the cause.
func TestAcceptBlocks(t *testing.T) {
	l := listenTCP(t)
	shared := share(t, l)
	w := startWorker(t, "stuck", []*os.File{shared})
	w.expect(t, "READY=1")
	if err := unix.SetNonblock(int(shared.Fd()), false); err != nil {
		t.Fatal(err)
	}
	c := connect(t, l.Addr().String())
	if err := c.send("GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c.conn); err != nil {
		t.Fatal(err)
	}
	waitForAccept(t, w.cmd.Process.Pid)
	w.signal(t, syscall.SIGTERM)
	if status := w.exit(t); status != 1 || !strings.Contains(w.stderr.String(), "NonBlocking=yes") {
		t.Errorf("exit status %d: %s", status, w.stderr)
	}
}

// waitForAccept waits until a thread of the process is in accept4(2). waitForAccept polls /proc, because the kernel does
// not report this event.
func waitForAccept(t *testing.T, pid int) {
	t.Helper()
	call := []byte(fmt.Sprintf("%d ", unix.SYS_ACCEPT4))
	for end := time.Now().Add(patience.For(bound)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
		for _, path := range threads {
			if text, err := os.ReadFile(path); err == nil && bytes.HasPrefix(text, call) {
				return
			}
		}
	}
	t.Fatal("accept did not block")
}

// TestNotifyFunctions checks the messages of the notify functions.
func TestNotifyFunctions(t *testing.T) {
	socket := "@clusterctl-activation-" + filepath.Base(t.TempDir()) + fmt.Sprint(os.Getpid())
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	for want, send := range map[string]func() error{
		"READY=1":                      Ready,
		"STOPPING=1":                   Stopping,
		"STATUS=two lines, \uFFFD bad": func() error { return Status("two\nlines, \xff bad") },
		"RELOADING=1\nMONOTONIC_USEC=": Reloading,
		"FDSTORE=1\nFDNAME=a":          func() error { return Notify("FDSTORE=1", "FDNAME=a") },
	} {
		if err := send(); err != nil {
			t.Errorf("%s: error %v", want, err)
		}
		b := make([]byte, 4096)
		conn.SetReadDeadline(time.Now().Add(patience.For(bound)))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[:n]); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
