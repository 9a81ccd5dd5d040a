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
	// privateBus is the socket on which PID 1 itself serves root, without a bus daemon.
	privateBus = "/run/systemd/private"
	// reconnectTime is how long a Conn tries to replace a lost connection. PID 1 needs a second or two to re-execute
	// itself, and longer on a machine with thousands of units.
	reconnectTime = 30 * time.Second
)

// dialer opens the stream of a connection. Tests replace it to count the messages.
type dialer func(ctx context.Context, socket string) (stream, error)

// stream carries the messages of a connection.
type stream = io.ReadWriteCloser

func dialUnix(ctx context.Context, socket string) (stream, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return &buffered{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// buffered is a connection with a read buffer. Without the buffer, godbus calls read(2) five times for each message.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// Conn is a connection to the system's systemd. Several goroutines may use it. It replaces a lost connection by itself.
type Conn struct {
	dial dialer
	// turn holds one token. The goroutine that has taken the token may read and replace cur. turn is a channel, so that the
	// wait for the token can end with a context.
	turn   chan struct{}
	cur    *link
	closed bool
	// onKill is called for each unit that was killed with SIGKILL. It may be nil.
	onKill func(Killed)
}

// Dial connects to systemd over the system bus. If there is no bus, Dial connects root to PID 1's private socket. The
// context bounds only the dialling. The errors are [ErrNoSystemd] and [ErrPermission].
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
	c := &Conn{dial: dial, turn: make(chan struct{}, 1), cur: l}
	c.turn <- struct{}{}
	return c, nil
}

// Close closes the connection. Calls that still wait return an error.
func (c *Conn) Close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	c.closed = true
	_ = c.cur.bus.Close() // an error means that the connection was already lost
	return nil
}

// link returns the live connection. If the connection was lost, link makes a new one.
func (c *Conn) link(ctx context.Context) (*link, error) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
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

// redial tries to connect, with growing pauses. It has to poll: a program can watch the path of a socket, but no event
// reports that the owner of the socket has called listen(2).
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

// link is one connection to the bus or to PID 1. A Conn replaces its link when the connection is lost.
type link struct {
	bus *dbus.Conn
	// private reports whether PID 1 itself is the peer. PID 1 has no match rules and sends every signal.
	private bool

	mu sync.Mutex
	// asked has a key for each match rule that the bus has, and one for the subscription at PID 1.
	asked map[string]bool
}

// newLink connects to the bus. If that fails, newLink connects root to PID 1's private socket.
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
			return &link{bus: bus, private: true, asked: make(map[string]bool)}, nil
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
	return nil, fmt.Errorf("%w: no answer from the bus or from PID 1: %w", ErrNoSystemd, err)
}

// handshake dials and authenticates. The godbus functions that it calls take no context, so it closes the stream when the
// context ends.
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
	bus, err := dbus.NewConn(&authenticated{stream: s}, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
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

// authenticate authenticates the current user. Like sd-bus, it sends AUTH and BEGIN in one write.
//
// godbus would wait for the answer to AUTH, and then send BEGIN and the first call right after each other. If PID 1 is
// busy, it reads both at once. Its server side (sd-bus, bus_socket_read_auth) then keeps the call in its buffer until more
// data arrives. None does, so the call hangs. authenticate sends BEGIN before it reads the answer to AUTH. The first call
// follows that answer, so PID 1 cannot read BEGIN and the call at once.
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
			return fmt.Errorf("not a D-Bus server: it answered %q", line)
		}
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return &busError{text: "the bus refused uid " + uid, kind: ErrPermission}
	}
	return nil
}

// authenticated is a stream on which authenticate has succeeded. godbus insists on its own authentication before it reads
// messages, so Write drops its requests and Read returns the answers that it expects.
type authenticated struct {
	stream
	answers bytes.Buffer
	begun   bool
}

func (r *authenticated) Write(p []byte) (int, error) {
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

func (r *authenticated) Read(p []byte) (int, error) {
	if !r.begun {
		return r.answers.Read(p)
	}
	return r.stream.Read(p)
}
