//go:build linux

package activation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// bound is the longest time that a test waits. Only a failing test waits that long.
const bound = 20 * time.Second

// TestMain runs the tests. In a child that a test has started, TestMain runs the role of
// the child instead.
func TestMain(m *testing.M) {
	switch role := os.Getenv("ACTIVATION_TEST_ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "report":
		os.Exit(report(os.Stdout))
	case "worker", "context", "stuck":
		os.Exit(work(role))
	default:
		panic("unknown role: " + role)
	}
}

// The function work serves until it is stopped, and returns the exit status. The path
// "/hold" responds when the request body has ended.
func work(role string) int {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello from %d\n", os.Getpid()) })
	mux.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			panic(err)
		}
		io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, "held")
	})
	s := Server{HTTP: &http.Server{Handler: mux}}
	ctx := context.Background()
	switch role {
	case "context": // a program that handles SIGTERM itself and passes a context
		c, cancel := signal.NotifyContext(ctx, syscall.SIGTERM)
		defer cancel()
		ctx = c
	case "stuck":
		s.DrainTimeout = time.Second
	}
	listeners, err := ListenAll("http", "tcp", "127.0.0.1:0")
	if err == nil {
		err = s.Serve(ctx, listeners...)
	}
	switch {
	case errors.Is(err, ErrCut):
		fmt.Fprintln(os.Stderr, err)
		return 3
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// The function report prints the descriptors that were passed to the process, in a fixed
// order.
func report(w io.Writer) int {
	for range 2 { // the second round must print the same lines
		ls, err := Listeners()
		fmt.Fprintln(w, "Listeners:", err)
		for _, name := range sorted(ls) {
			for _, l := range ls[name] {
				fmt.Fprintln(w, "  listener", name, l.Addr())
			}
		}
		ps, err := PacketConns()
		fmt.Fprintln(w, "PacketConns:", err)
		for _, name := range sorted(ps) {
			for _, p := range ps[name] {
				fmt.Fprintln(w, "  packets", name, p.LocalAddr())
			}
		}
		fs, err := Files()
		fmt.Fprintln(w, "Files:", err)
		for _, name := range sorted(fs) {
			for _, f := range fs[name] {
				flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
				fmt.Fprintln(w, "  file", name, f.Name(), flags == unix.FD_CLOEXEC)
				f.Close()
			}
		}
	}
	l, err := Listen("http", "tcp", "127.0.0.1:0")
	fmt.Fprintln(w, "Listen:", l != nil, err)
	p, err := ListenPacket("udp", "udp", "127.0.0.1:0")
	fmt.Fprintln(w, "ListenPacket:", p != nil, err)
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") {
			fmt.Fprintln(w, "left:", v)
		}
	}
	for fd := 3; fd < 8; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Fprintln(w, "not close-on-exec:", fd)
		}
	}
	return 0
}

func sorted[V any](m map[string]V) []string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// The function share returns a file that shares the open file description of a socket,
// as descriptors from PID 1 do. It does not use the File method of the socket, because
// Fd of the resulting file would clear O_NONBLOCK.
func share(t *testing.T, c syscall.Conn) *os.File {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	if err := raw.Control(func(fd uintptr) { n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) }); err != nil || n < 0 {
		t.Fatal("duplicating:", err)
	}
	f := os.NewFile(uintptr(n), "shared")
	t.Cleanup(func() { f.Close() })
	return f
}

func listenTCP(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// child returns a command that runs this test binary in a role, and passes the files as
// systemd does. A shell sets LISTEN_PID, because the process ID is known only after the
// fork.
func child(ctx context.Context, role, names string, files ...*os.File) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `export LISTEN_PID=$$; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "ACTIVATION_TEST_ROLE="+role, fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // without this setting, the race detector sleeps for a second at exit
	cmd.ExtraFiles = files
	return cmd
}

// worker is a running child and the socket on which its messages to the service manager
// arrive.
type worker struct {
	cmd      *exec.Cmd
	stderr   *strings.Builder
	messages *net.UnixConn
}

func startWorker(t *testing.T, role string, files []*os.File, env ...string) *worker {
	t.Helper()
	dir, err := os.MkdirTemp("", "a") // the path of t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	messages, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { messages.Close() })
	w := &worker{cmd: child(context.Background(), role, "http", files...), stderr: new(strings.Builder), messages: messages}
	w.cmd.Env = append(append(w.cmd.Env, "NOTIFY_SOCKET="+socket), env...)
	w.cmd.Stderr = w.stderr
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			w.cmd.Process.Kill()
			w.cmd.Wait()
		}
	})
	return w
}

// The method expect reads messages until one begins with the text begin, and returns
// this message.
func (w *worker) expect(t *testing.T, begin string) string {
	t.Helper()
	b := make([]byte, 4096)
	w.messages.SetReadDeadline(time.Now().Add(patience.For(bound)))
	for {
		n, err := w.messages.Read(b)
		if err != nil {
			t.Fatalf("waiting for %s: %v; stderr: %s", begin, err, w.stderr)
		}
		if m := string(b[:n]); strings.HasPrefix(m, begin) {
			return m
		}
	}
}

func (w *worker) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// The method exit waits until the worker ends and returns its exit status.
func (w *worker) exit(t *testing.T) int {
	t.Helper()
	defer time.AfterFunc(patience.For(bound), func() { w.cmd.Process.Kill() }).Stop()
	w.cmd.Wait()
	return w.cmd.ProcessState.ExitCode()
}

// client sends HTTP/1 requests on one connection. It returns an error where
// http.Transport would send a request again, so that a test notices a lost request.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(address string) (*client, error) {
	conn, err := net.DialTimeout("tcp", address, patience.For(bound))
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience.For(bound)))
	return &client{conn, bufio.NewReader(conn)}, nil
}

const get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"

func (c *client) send(request string) error {
	_, err := io.WriteString(c.conn, request)
	return err
}

// The method answer reads one complete response, and reports whether the response has
// "Connection: close".
func (c *client) answer() (closes bool, err error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return false, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK {
		return false, errors.New(resp.Status)
	}
	return resp.Close, nil
}
