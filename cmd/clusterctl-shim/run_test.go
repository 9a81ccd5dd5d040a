package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// bound is the limit of every wait. If a wait takes longer, the test fails.
const bound = 60 * time.Second

// worker is a process that runs the shim and then the program.
type worker struct {
	*exec.Cmd
	ready  *net.UnixConn
	output *bytes.Buffer // stdout and stderr; read it only after Wait
	gone   chan error
}

// startWorker starts "shim run ARGS" with the sockets, like a unit.
func startWorker(t *testing.T, sockets []*os.File, args ...string) *worker {
	t.Helper()
	return startCommand(t, sockets, nil, append([]string{shim, "run"}, args...)...)
}

// startCommand starts a command with the sockets, like a unit.
func startCommand(t *testing.T, sockets []*os.File, env []string, argv ...string) *worker {
	t.Helper()
	return startUnder(t, listenNotify(t), sockets, env, argv...)
}

// listenNotify returns a socket for NOTIFY_SOCKET.
func listenNotify(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	// Other users must be able to send to the socket.
	for dir := path; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return ready
}

// startUnder starts a command with the sockets. The parameter ready is the socket for NOTIFY_SOCKET.
func startUnder(t *testing.T, ready *net.UnixConn, sockets []*os.File, env []string, argv ...string) *worker {
	t.Helper()
	w := &worker{Cmd: exec.Command("/proc/self/exe", argv...), ready: ready, output: new(bytes.Buffer), gone: make(chan error, 1)}
	w.Env = append(os.Environ(), asSystemd+"="+strconv.Itoa(len(sockets)), "NOTIFY_SOCKET="+ready.LocalAddr().String())
	w.Env = append(w.Env, env...)
	w.ExtraFiles = sockets
	w.Stdout, w.Stderr = w.output, w.output
	w.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	go func() {
		err := w.Wait()
		close(waited)
		w.gone <- err
	}()
	t.Cleanup(func() {
		defer ready.Close()
		select {
		case <-waited:
			// Kill nothing: the processes have ended, and a new process may have the same process id.
			return
		default:
		}
		_ = syscall.Kill(-w.Process.Pid, syscall.SIGKILL)
		if n := notifierOf(w.Process.Pid); n > 0 {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	})
	return w
}

// readyMessage is the message that the notifier sends to NOTIFY_SOCKET when the program listens.
const readyMessage = "READY=1\nNOTIFYACCESS=none"

// waitReady waits for READY=1.
func (w *worker) waitReady(t *testing.T) {
	t.Helper()
	var b [512]byte
	if err := w.ready.SetReadDeadline(time.Now().Add(patience.For(bound))); err != nil {
		t.Fatal(err)
	}
	n, err := w.ready.Read(b[:])
	if err != nil || string(b[:n]) != readyMessage {
		_ = w.Process.Kill()
		<-w.gone
		t.Fatalf("READY=1 did not come: %q %v\n%s", b[:n], err, w.output)
	}
}

// waitGone waits for the end of the program and of all processes that have its output open.
func (w *worker) waitGone(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.gone:
		return err
	case <-patience.After(bound):
		t.Fatal("the program, or a notifier that has its output open, does not end")
		return nil
	}
}

// The function fetch sends a request on a new connection and returns the body of the response.
func fetch(t *testing.T, network, address string) string {
	t.Helper()
	c := http.Client{Timeout: patience.For(bound), Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	r, err := c.Get("http://app/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("status %d, %v", r.StatusCode, err)
	}
	return string(b)
}

// notifierOf returns the process id of the notifier of a running program, or 0. The notifier has the same stderr as the
// program.
func notifierOf(pid int) int {
	own, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/2")
	if err != nil {
		return 0
	}
	for _, n := range notifiers() {
		if link, err := os.Readlink("/proc/" + strconv.Itoa(n) + "/fd/2"); err == nil && link == own {
			return n
		}
	}
	return 0
}

// notifier returns the process id of the program's notifier. If the program has no notifier, the test fails.
func (w *worker) notifier(t *testing.T) int {
	t.Helper()
	n := notifierOf(w.Process.Pid)
	if n <= 0 {
		t.Fatalf("process %d has no notifier", w.Process.Pid)
	}
	return n
}

// notifiers returns the process ids of all notifiers.
func notifiers() (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, d := range dirs {
		b, err := os.ReadFile(d)
		if err == nil && strings.HasPrefix(string(b), "clusterctl-shim\x00notify\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(d)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// The method stop sends SIGTERM to the program and its children, like systemd. It checks that the program ends by the
// signal, and that the notifier ends.
func (w *worker) stop(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-w.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := w.waitGone(t)
	if s := w.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGTERM {
		t.Errorf("the program ended with %v, want SIGTERM\n%s", err, w.output)
	}
}

// node returns the path of the program node.
func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// python returns the path of the Python interpreter.
func python(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// The function data returns the absolute path of a file in testdata.
func data(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
