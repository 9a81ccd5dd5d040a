//go:build linux

package activation

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// runReport runs a child, passes the files with their names to it, and returns the report that
// the child prints.
func runReport(t *testing.T, names string, files ...*os.File) string {
	t.Helper()
	cmd := child(t.Context(), "report", names, files...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("the child failed: %v\n%s", err, &out)
	}
	return out.String()
}

func TestPassed(t *testing.T) {
	tcp := listenTCP(t)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "s")
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()

	round := fmt.Sprintf(`Listeners: <nil>
  listener http %v
  listener http %v
PacketConns: <nil>
  packets udp %v
Files: <nil>
  file http http true
  file http http true
  file udp udp true
`, tcp.Addr(), path, udp.LocalAddr())
	want := round + round + `Listen: false 2 listeners named "http" were passed, and Listen returns one: use ListenAll
ListenPacket: true <nil>
`
	if got := runReport(t, "http:udp:http", share(t, tcp), share(t, udp), share(t, local)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the child removed the socket file: %v", err)
	}
}

func TestPassedIsNotAListener(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	got := runReport(t, "http:pipe", share(t, listenTCP(t)), r)
	for _, want := range []string{
		`Listeners: fd 4 ("pipe") is not a listener, but a FIFO; Files returns it`,
		`PacketConns: fd 4 ("pipe") is not a datagram socket, but a FIFO`,
		"  file pipe pipe true",
		`Listen: false fd 4 ("pipe")`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
}

func TestMissingName(t *testing.T) {
	got := runReport(t, "web:admin", share(t, listenTCP(t)), share(t, listenTCP(t)))
	for _, want := range []string{
		`Listen: false no such listener was passed: no stream listener is named "http" in FileDescriptorName=; ` +
			`names of passed descriptors: "admin", "web"`,
		`ListenPacket: false no such listener was passed: no datagram socket is named "udp" in FileDescriptorName=; ` +
			`names of passed descriptors: none`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
	if _, err := pick(map[string][]int{"a": {1}}, "b", "thing"); !errors.Is(err, ErrNoListener) {
		t.Errorf("got error %v, want ErrNoListener", err)
	}
}

// TestNotActivated calls the functions in the test process, to which no descriptor was
// passed.
func TestNotActivated(t *testing.T) {
	if _, err := Listeners(); !errors.Is(err, ErrNotActivated) {
		t.Errorf("Listeners: got error %v, want ErrNotActivated", err)
	}
	if _, err := PacketConns(); !errors.Is(err, ErrNotActivated) {
		t.Errorf("PacketConns: got error %v, want ErrNotActivated", err)
	}
	if _, err := Files(); !errors.Is(err, ErrNotActivated) {
		t.Errorf("Files: got error %v, want ErrNotActivated", err)
	}
	l, err := Listen("http", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := ListenPacket("udp", "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := Listen("http", "tcp", l.Addr().String()); !errors.Is(err, unix.EADDRINUSE) || !errors.Is(err, ErrNotActivated) {
		t.Errorf("Listen on a port in use: got error %v, want EADDRINUSE and ErrNotActivated", err)
	}
}

// isNonblocking reports whether O_NONBLOCK is set on the open file description. It
// reads the flag from /proc, like "clusterctl doctor".
func isNonblocking(t *testing.T, pid int, fd uintptr) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	if err != nil {
		t.Fatal(err)
	}
	var pos, flags int
	if _, err := fmt.Sscanf(string(text), "pos:\t%d\nflags:\t%o", &pos, &flags); err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

// TestFilesAreNonblocking checks that O_NONBLOCK stays set when a process receives, lists,
// duplicates and closes descriptors, and accepts on them. All processes with the open file
// description share this flag.
func TestFilesAreNonblocking(t *testing.T) {
	shared := share(t, listenTCP(t))
	if !isNonblocking(t, os.Getpid(), shared.Fd()) {
		t.Fatal("the socket of the test is blocking")
	}
	runReport(t, "http", shared) // the child lists, duplicates and closes the descriptors, and calls Fd
	if !isNonblocking(t, os.Getpid(), shared.Fd()) {
		t.Error("a child cleared O_NONBLOCK on the shared description")
	}
	w := startWorker(t, "worker", []*os.File{shared})
	w.expect(t, "READY=1")
	if !isNonblocking(t, w.cmd.Process.Pid, 3) {
		t.Error("O_NONBLOCK is not set in the worker")
	}
	w.signal(t, unix.SIGTERM)
	if status := w.exit(t); status != 0 {
		t.Errorf("exit status %d: %s", status, w.stderr)
	}
	if !isNonblocking(t, os.Getpid(), shared.Fd()) {
		t.Error("a stopping worker cleared O_NONBLOCK on the shared description")
	}
	// Without NonBlocking=yes, systemd clears the flag before each start. Then the package
	// must set the flag again.
	if err := unix.SetNonblock(int(shared.Fd()), false); err != nil {
		t.Fatal(err)
	}
	runReport(t, "http", shared)
	if !isNonblocking(t, os.Getpid(), shared.Fd()) {
		t.Error("O_NONBLOCK was not set on a blocking listener")
	}
}

// TestNewSetFails checks the errors for a descriptor that cannot be used.
func TestNewSetFails(t *testing.T) {
	l := listenTCP(t)
	f := share(t, l)
	e := sd.Env{
		Lookup: func(name string) (string, bool) {
			v, ok := map[string]string{"LISTEN_PID": "1", "LISTEN_FDS": "1"}[name]
			return v, ok
		},
		Unset:       func(string) error { return nil },
		Pid:         func() int { return 1 },
		Probe:       func(int) (sd.Kind, string, error) { return sd.Listener, "", nil },
		CloseOnExec: func(int) error { return errors.New("no") },
	}
	if _, err := newSet(e); err == nil || !strings.Contains(err.Error(), `fd 3 ("unknown")`) {
		t.Errorf("got error %v, want an error for fd 3", err)
	}
	s := &passedSet{passed: []sd.Passed{{FD: int(f.Fd()), Name: "a", Kind: sd.Listener}, {FD: 1 << 20, Name: "b"}}}
	if _, err := s.files(); err == nil {
		t.Error("a descriptor that is not open was duplicated")
	}
}
