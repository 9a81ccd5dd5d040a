package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// TestWrongFamily: a bind of a family that the socket does not have fails as without the shim, and the notifier prints the
// reason and a hint.
func TestWrongFamily(t *testing.T) {
	l, address := listen(t, "tcp4", "0.0.0.0:0", true)
	w := startWorker(t, []*os.File{l}, "--adopt", "--", filepath.Join(testdata, "goserver"), "[::]:"+port(address))
	_ = w.waitGone(t)
	got := w.output.String()
	want := "clusterctl-shim: the program binds tcp6 [::]:" + port(address) + ", but the socket of the unit is tcp4 0.0.0.0:" +
		port(address)
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "clusterctl-shim: hint: ") ||
		!strings.Contains(got, "address already in use") {
		t.Errorf("the output is\n%s, want the prefix\n%s, a hint, and the error of the program", got, want)
	}
}

// TestRefusals: if the shim cannot start the program, the shim ends with the right exit status and prints the reason.
func TestRefusals(t *testing.T) {
	l, _ := listen(t, "tcp4", "127.0.0.1:0", true)
	for _, c := range []struct {
		name    string
		sockets []*os.File
		args    []string
		code    int
		text    string
	}{
		{"no sockets", nil, []string{"--adopt", "--", "/bin/true"}, exitFailed, "no socket to adopt"},
		{"no program", nil, []string{"--adopt"}, contract.StatusUsage, "no program to run"},
		{"relative", nil, []string{"true"}, contract.StatusUsage, "not an absolute path"},
		{"unknown flag", nil, []string{"--nonsense", "/bin/true"}, contract.StatusUsage, "nonsense"},
		{"bad map", nil, []string{"--adopt", "--map", "http=sctp:1", "/bin/true"}, contract.StatusUsage, "-map: want"},
		{"map without a socket", []*os.File{l}, []string{"--adopt", "--map", "http=tcp:1", "--", "/bin/true"},
			contract.StatusUsage, "no descriptor"},
		{"map with another type", []*os.File{l}, []string{"--adopt", "--map", "0=udp:1", "--", "/bin/true"},
			contract.StatusUsage, "cannot replace the socket of a bind to"},
		{"missing program", []*os.File{l}, []string{"--adopt", "--", "/no/such/program"}, exitNotFound, "no such file"},
		{"not executable", nil, []string{"--", data(t, "server.js")}, exitNotRunnable, "permission denied"},
	} {
		w := startWorker(t, c.sockets, c.args...)
		_ = w.waitGone(t)
		if w.ProcessState.ExitCode() != c.code || !strings.Contains(w.output.String(), c.text) ||
			!strings.HasPrefix(w.output.String(), "clusterctl-shim: ") {
			t.Errorf("%s: the shim ended with %v, %q, want status %d and %q", c.name, w.ProcessState, w.output, c.code, c.text)
		}
	}
	// Start a shim under a shim: a process cannot have two filters with notifications.
	w := startCommand(t, []*os.File{l}, nil, shim, "run", "--adopt", "--", python(t), "-c", `
import os, socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
os.dup2(s.fileno(), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], sys.argv[1:])`, shim, "run", "--adopt", "--", "/bin/true")
	_ = w.waitGone(t)
	if w.ProcessState.ExitCode() != contract.StatusUnavailable || !strings.Contains(w.output.String(), "another seccomp listener") {
		t.Errorf("under a shim, the shim ended with %v, %q, want status %d and the reason", w.ProcessState, w.output,
			contract.StatusUnavailable)
	}
}

// TestHold: with --accept hold, a program that waits in accept does not accept another connection after the notifier has got
// the signal of the drain. The program still responds on its open connections.
func TestHold(t *testing.T) {
	l, address := listen(t, "tcp4", "0.0.0.0:0", false)
	client := "127.0.0.1:" + port(address)
	args := []string{"--adopt", "--accept", "hold", "--", filepath.Join(testdata, "cserver"), port(address), "300"}
	w := startWorker(t, []*os.File{l}, args...)
	w.waitReady(t)
	c, err := net.Dial("tcp4", client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience.For(bound))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// Wait until the program has accepted the connection: after the signal, the notifier would hold even the first accept.
	waitAccepted(t, c)
	if err := syscall.Kill(w.notifier(t), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.Contains(string(b), "peer 127.0.0.1") {
		t.Errorf("the response to the open request is %q, %v, want the address of the peer", b, err)
	}
	// After the signal, only the other instance may accept connections, even if this program was in accept(2) at the time of
	// the signal.
	response := make(chan string, 1)
	go func() {
		r, err := exec.Command("curl", "-s", "--max-time", "50", "http://"+client+"/").Output()
		response <- string(r)
		_ = err
	}()
	waitQueued(t, port(address))
	sibling := startWorker(t, []*os.File{l}, args...)
	sibling.waitReady(t)
	if got := <-response; !strings.Contains(got, "pid "+strconv.Itoa(sibling.Process.Pid)+" ") {
		t.Errorf("got the response %q, want a response of the sibling, process %d, not of process %d", got,
			sibling.Process.Pid, w.Process.Pid)
	}
	w.stop(t) // SIGTERM must end a program whose accept is held
	sibling.stop(t)
}

// waitQueued waits until a connection is in the accept queue of the listener.
func waitQueued(t *testing.T, port string) {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	waitTCP(t, "the connection does not stay in the queue", func(s tcpSocket) bool {
		return s.local == n && s.state == "0A" && !strings.HasSuffix(s.queues, ":00000000")
	})
}

// waitAccepted waits until a program has accepted the connection. While the connection is in the accept queue, its server
// socket has no inode.
func waitAccepted(t *testing.T, c net.Conn) {
	t.Helper()
	own, server := c.LocalAddr().(*net.TCPAddr).Port, c.RemoteAddr().(*net.TCPAddr).Port
	waitTCP(t, "the connection stays in the queue", func(s tcpSocket) bool {
		const synRecv, established = "03", "01"
		return s.local == server && s.remote == own && s.state != synRecv && (s.state != established || s.inode != "0")
	})
}

// tcpSocket holds fields of a line of /proc/net/tcp.
type tcpSocket struct {
	local, remote        int // ports
	state, queues, inode string
}

// waitTCP waits until the function want returns true for an IPv4 socket. If the wait takes too long, waitTCP fails the test
// with the message.
func waitTCP(t *testing.T, message string, want func(tcpSocket) bool) {
	t.Helper()
	port := func(address string) int {
		_, p, _ := strings.Cut(address, ":")
		n, _ := strconv.ParseUint(p, 16, 16)
		return int(n)
	}
	for end := time.Now().Add(patience.For(bound)); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 9 && want(tcpSocket{port(f[1]), port(f[2]), f[3], f[4], f[9]}) {
				return
			}
		}
	}
	t.Fatal(message)
}
