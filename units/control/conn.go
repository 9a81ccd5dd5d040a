package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/util"
	"github.com/godbus/dbus/v5"
)

const (
	busName     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	manager     = busName + ".Manager"
	systemBus   = "/run/dbus/system_bus_socket"
	// privateBus is the socket at which PID 1 accepts D-Bus connections from root, without a bus daemon.
	privateBus = "/run/systemd/private"
	// reconnectTime is the maximum time for which a Conn tries to replace a lost connection. PID 1 needs a second or two to
	// re-execute itself, and longer on a machine with thousands of units.
	reconnectTime = 30 * time.Second
)

// dialer connects to a Unix socket. Tests use another dialer to count the messages.
type dialer func(ctx context.Context, socket string) (stream, error)

// stream is the socket of a connection.
type stream = io.ReadWriteCloser

func dialUnix(ctx context.Context, socket string) (stream, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return &bufferedSocket{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// bufferedSocket is a socket with a read buffer. Without the buffer, godbus calls read(2) five times for each message.
type bufferedSocket struct {
	net.Conn
	r *bufio.Reader
}

func (b *bufferedSocket) Read(p []byte) (int, error) { return b.r.Read(p) }

// Conn is a connection to the systemd of the machine. Several goroutines may use a Conn. Conn replaces a lost connection by
// a new one.
type Conn struct {
	dial dialer
	// token is a channel that holds one value. A goroutine that has received the value may read and replace cur, and must
	// then send the value back. token is a channel and not a mutex, because a context can end the wait for a channel.
	token  chan struct{}
	cur    *link
	closed bool
	// onKill is called for each unit that is killed with SIGKILL. onKill may be nil.
	onKill func(Killed)
}

// Dial connects to systemd over the system bus. If the bus does not exist and the user is root, Dial connects to the private
// socket of PID 1. The context applies only to Dial, not to the returned connection. The errors are [ErrNoSystemd] and
// [ErrPermission].
func Dial(ctx context.Context) (*Conn, error) {
	if !util.IsRunningSystemd() {
		return nil, fmt.Errorf("%w: /run/systemd/system does not exist", ErrNoSystemd)
	}
	return dialWith(ctx, dialUnix)
}

func dialWith(ctx context.Context, dial dialer) (*Conn, error) {
	l, err := newLink(ctx, dial)
	if err != nil {
		return nil, fmt.Errorf("connecting to systemd: %w", err)
	}
	c := &Conn{dial: dial, token: make(chan struct{}, 1), cur: l}
	c.token <- struct{}{}
	return c, nil
}

// Close closes the connection. Calls that wait for a reply return an error.
func (c *Conn) Close() error {
	<-c.token
	defer func() { c.token <- struct{}{} }()
	c.closed = true
	_ = c.cur.bus.Close() // an error means that the connection is already lost
	return nil
}

// The method link returns the current connection, or a new connection if the current one was lost.
func (c *Conn) link(ctx context.Context) (*link, error) {
	select {
	case <-c.token:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { c.token <- struct{}{} }()
	if c.closed {
		return nil, fmt.Errorf("%w: it was closed", ErrLost)
	}
	if c.cur.bus.Connected() {
		return c.cur, nil
	}
	l, err := c.redial(ctx)
	if err != nil {
		return nil, err
	}
	c.cur = l
	return l, nil
}

// redial tries to connect until it succeeds, with growing pauses. redial cannot wait for an event instead, because a program
// can watch the path of a socket, but cannot detect that another process has called listen(2).
func (c *Conn) redial(ctx context.Context) (*link, error) {
	deadline := time.NewTimer(reconnectTime)
	defer deadline.Stop()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		l, err := newLink(ctx, c.dial)
		if err == nil || !errors.Is(err, ErrNoSystemd) {
			return l, err
		}
		select {
		case <-time.After(pause):
		case <-deadline.C:
			return nil, fmt.Errorf("%w: %w", ErrLost, err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// The type link is one connection to the bus or to PID 1. Conn replaces a link that is lost.
type link struct {
	bus *dbus.Conn
	// The field isPrivate is true if the connection leads to PID 1 and not to the bus. PID 1 has no match rules and sends
	// every signal.
	isPrivate bool

	mu sync.Mutex
	// The map asked has a key for each match rule on the bus, and a key for the subscription at PID 1.
	asked map[string]bool
}

// newLink connects to the bus. If the bus does not respond and the user is root, newLink connects to the private socket of
// PID 1.
func newLink(ctx context.Context, dial dialer) (*link, error) {
	bus, err := handshake(ctx, dial, systemBus, true)
	if err == nil {
		return &link{bus: bus, asked: make(map[string]bool)}, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if os.Geteuid() == 0 {
		if bus, second := handshake(ctx, dial, privateBus, false); second == nil {
			return &link{bus: bus, isPrivate: true, asked: make(map[string]bool)}, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %w", ErrPermission, err)
	}
	if errors.Is(translate(err), ErrPermission) {
		return nil, translate(err)
	}
	return nil, fmt.Errorf("%w: no response from the bus or from PID 1: %w", ErrNoSystemd, err)
}

// handshake connects to a socket and authenticates. If hello is true, handshake registers at the bus. The functions of
// godbus have no context, so handshake closes the stream when the context ends.
func handshake(ctx context.Context, dial dialer, socket string, hello bool) (_ *dbus.Conn, err error) {
	s, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := authenticate(s); err != nil {
		return nil, err
	}
	bus, err := dbus.NewConn(&authenticatedStream{stream: s}, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	if err := bus.Auth([]dbus.Auth{dbus.AuthExternal("")}); err != nil {
		return nil, errors.Join(err, bus.Close())
	}
	if hello {
		if err := bus.Hello(); err != nil {
			return nil, errors.Join(err, bus.Close())
		}
	}
	return bus, nil
}

// authenticate sends the D-Bus authentication of the current user, with AUTH and BEGIN in one write, as sd-bus does.
//
// The authentication of godbus can hang. godbus waits for the response to AUTH, and then sends BEGIN and the first call in
// two writes. A busy PID 1 reads both writes together, and then does not process the call until more data arrives (sd-bus,
// bus_socket_read_auth). With authenticate, the first call does not hang, because PID 1 reads BEGIN before authenticate
// returns.
func authenticate(s stream) error {
	uid := strconv.Itoa(syscall.Geteuid())
	if _, err := io.WriteString(s, "\x00AUTH EXTERNAL "+hex.EncodeToString([]byte(uid))+"\r\nBEGIN\r\n"); err != nil {
		return err
	}
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, b[0]) {
		if _, err := io.ReadFull(s, b); err != nil {
			return err
		}
		if len(line) > 1000 {
			return fmt.Errorf("not a D-Bus server: it sent %q", line)
		}
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return &busError{text: "the bus refused uid " + uid, kind: ErrPermission}
	}
	return nil
}

// authenticatedStream is a stream on which authenticate has succeeded. godbus always authenticates before it reads
// messages. Write drops the requests of this second authentication, and Read returns the responses that godbus expects.
type authenticatedStream struct {
	stream
	answers bytes.Buffer
	begun   bool
}

func (r *authenticatedStream) Write(p []byte) (int, error) {
	if r.begun {
		return r.stream.Write(p)
	}
	switch strings.TrimRight(string(p), "\r\n") {
	case "AUTH":
		r.answers.WriteString("REJECTED EXTERNAL\r\n")
	case "AUTH EXTERNAL":
		r.answers.WriteString("OK 0\r\n")
	case "BEGIN":
		r.begun = true
	}
	return len(p), nil
}

func (r *authenticatedStream) Read(p []byte) (int, error) {
	if !r.begun {
		return r.answers.Read(p)
	}
	return r.stream.Read(p)
}
