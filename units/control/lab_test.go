//go:build lab

package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
	"github.com/clusterctl/clusterctl/units"
)

func TestMain(m *testing.M) { lab.Main(m) }

// onAll runs a test on all releases. Each release has a different version of systemd.
func onAll(t *testing.T, f func(t *testing.T, m *lab.Machine, c *Conn)) {
	onReleases(t, f, lab.All()...)
}

func onReleases(t *testing.T, f func(t *testing.T, m *lab.Machine, c *Conn), releases ...lab.Release) {
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel() // each release has its own machine
			m := lab.Shared(t, r)
			f(t, m, guest(t, m, new(wire)))
		})
	}
}

// boundedContext returns a context with a long timeout, which ends only a test that hangs.
func boundedContext(t testing.TB) context.Context {
	ctx, cancel := patience.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// guest connects to the systemd of a machine, through the sockets below the root directory of the machine.
func guest(t testing.TB, m *lab.Machine, w *wire) *Conn {
	t.Helper()
	c, err := dialGuest(boundedContext(t), m, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func dialGuest(ctx context.Context, m *lab.Machine, w *wire) (*Conn, error) {
	return dialWith(ctx, func(ctx context.Context, socket string) (stream, error) {
		s, err := dialUnix(ctx, m.Root()+socket)
		if err != nil {
			return nil, err
		}
		if socket == privateBus {
			_ = s.Close()
			if s, err = dialInside(ctx, m, socket); err != nil {
				return nil, err
			}
		}
		w.add(func() { w.dialled = append(w.dialled, socket) })
		return &tap{stream: s, wire: w}, nil
	})
}

// dialInside starts a process in the machine that connects to the socket and passes the connection to the test. A connection
// from the test process itself fails: PID 1 refuses a peer without a PID in the namespace of PID 1 (sd-bus, getpeercred:
// ENODATA), and later looks for the peer in /proc.
func dialInside(ctx context.Context, m *lab.Machine, socket string) (stream, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	cmd := m.Command(context.Background(), "/usr/bin/python3", "-c", `import socket, sys
out = socket.socket(fileno=0)
conn = socket.socket(socket.AF_UNIX)
conn.connect(sys.argv[1])
socket.send_fds(out, [b"x"], [conn.fileno()])
out.recv(1)`, socket)
	cmd.Stdin = theirs
	err = errors.Join(cmd.Start(), theirs.Close())
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Cancel() })
	defer stop()
	fail := func(err error) (stream, error) {
		return nil, errors.Join(err, ours.Close(), cmd.Wait())
	}
	byte1, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], byte1, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return fail(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return fail(syscall.ECONNREFUSED)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return fail(err)
	}
	f := os.NewFile(uintptr(fds[0]), socket)
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return fail(err)
	}
	return &inside{Conn: conn, helper: ours, wait: cmd.Wait}, nil
}

type inside struct {
	net.Conn
	helper *os.File
	wait   func() error
}

func (i *inside) Close() error { return errors.Join(i.Conn.Close(), i.helper.Close(), i.wait()) }

// The type wire records the method calls on a connection.
type wire struct {
	mu      sync.Mutex
	dialled []string // the paths of the sockets
	calls   []string // the members of the method calls
	hold    int      // the number of calls that must be sent before replies arrive
	free    chan struct{}
}

func (w *wire) add(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	if w.free != nil && len(w.calls) >= w.hold {
		close(w.free)
		w.free = nil
	}
}

// holdReplies clears the recorded calls. holdReplies then delays all replies until n calls have been sent.
func (w *wire) holdReplies(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls, w.hold, w.free = nil, n, make(chan struct{})
}

func (w *wire) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// tap is a stream that records the D-Bus messages written to it.
type tap struct {
	stream
	wire *wire
	out  bytes.Buffer
	open bool // the authentication has ended
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.stream.Read(p)
	t.wire.mu.Lock()
	free := t.wire.free
	t.wire.mu.Unlock()
	if free != nil && err == nil {
		<-free
	}
	return n, err
}

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.stream.Write(p)
	if !t.open {
		t.open = bytes.HasSuffix(p, []byte("BEGIN\r\n"))
		return n, err
	}
	t.out.Write(p)
	for t.nextMessage() {
	}
	return n, err
}

// nextMessage removes one complete message from the buffer out and records the message. The fixed header of a message
// has 16 bytes, and its fields are padded to a multiple of 8 (D-Bus specification, Message Format).
func (t *tap) nextMessage() bool {
	b := t.out.Bytes()
	if len(b) < 16 {
		return false
	}
	body, fields := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[12:])
	size := 16 + int(fields+7)/8*8 + int(body)
	if len(b) < size {
		return false
	}
	const methodCall, memberField = 1, "\x03\x01s\x00"
	if b[1] == methodCall {
		member := "?"
		if _, after, ok := strings.Cut(string(b[12:16+fields]), memberField); ok {
			member = after[4 : 4+binary.LittleEndian.Uint32([]byte(after))]
		}
		t.wire.add(func() { t.wire.calls = append(t.wire.calls, member) })
	}
	t.out.Next(size)
	return true
}

// The function files writes unit files into the machine and reloads systemd. The paths are relative to /etc/systemd/system.
// At the end of the test, the files are removed.
func files(t testing.TB, m *lab.Machine, c *Conn, content map[string]string) {
	t.Helper()
	dir := m.Root() + "/etc/systemd/system"
	var tops []string
	for path, text := range content {
		tops = append(tops, strings.Split(path, "/")[0])
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, top := range tops {
			if err := os.RemoveAll(filepath.Join(m.Root(), "/etc/systemd/system", top)); err != nil {
				t.Error(err)
			}
		}
		m.Sh(t, "systemctl daemon-reload")
	})
	if err := c.Reload(boundedContext(t)); err != nil {
		t.Fatal(err)
	}
}

// app returns the unit files of an app with two workers and one socket. The function change may be nil, or modifies the app
// first.
func app(t testing.TB, name string, change func(a *units.App, s *units.Sizing)) map[string]string {
	t.Helper()
	a := units.App{
		Name: units.Name(name), Command: []string{"/bin/sleep", "1000"}, RunAs: units.RunAs{User: "nobody"},
		Activation: units.Native, Sandbox: units.SandboxOff,
		Listen: []units.Listener{{Host: netip.MustParseAddr("127.0.0.1"), Port: port(name)}},
	}
	sizing := units.Sizing{Want: 2, Listed: 2}
	if change != nil {
		change(&a, &sizing)
	}
	set, err := units.Render(a, units.Target{
		Systemd: units.OldestSystemd, Sizing: sizing, Source: "/etc/clusterctl/" + name + ".yaml", Shim: units.DefaultShim,
	})
	if err != nil {
		t.Fatal(err)
	}
	content := make(map[string]string)
	for _, f := range set {
		content[f.Path] = string(f.Data)
	}
	return content
}

// The function port returns a port that differs between apps.
func port(name string) uint16 {
	p := uint16(0)
	for _, c := range []byte(name) {
		p = p*31 + uint16(c)
	}
	return 20000 + p%10000
}

// cleanApp stops an app at the end of the test and resets its failed state.
func cleanApp(t testing.TB, c *Conn, name units.Name) {
	t.Cleanup(func() {
		ctx, cancel := patience.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := c.StopApp(ctx, name); err != nil {
			t.Error(err)
		}
		left, err := c.Loaded(ctx, string(name)+"*")
		if err != nil {
			t.Error(err)
		}
		if err := c.ResetFailed(ctx, left...); err != nil {
			t.Error(err)
		}
	})
}

// notifier returns the command of a worker that sends READY=1 and a status, and then sleeps. The parameter before is Python
// code that runs first.
func notifier(before string) []string {
	return []string{"/usr/bin/python3", "-c", `import os, socket, time
` + before + `
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"READY=1\nSTATUS=serving")
time.sleep(1000)`}
}
