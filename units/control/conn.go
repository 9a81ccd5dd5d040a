package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/util"
	"github.com/godbus/dbus/v5"
)

const (
	busName     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	manager     = busName + ".Manager"
	systemBus   = "/run/dbus/system_bus_socket"
	// privateBus is PID 1's own socket, for root, without a bus daemon between.
	privateBus = "/run/systemd/private"
	// reconnectTime is how long a lost connection is tried again: PID 1 needs a second or two to re-execute itself, more
	// on a machine with thousands of units.
	reconnectTime = 30 * time.Second
)

// dialer opens the stream behind a connection; a test counts the messages in it.
type dialer func(ctx context.Context, socket string) (stream, error)

// stream is what messages go through.
type stream = io.ReadWriteCloser

func dialUnix(ctx context.Context, socket string) (stream, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return &buffered{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// buffered spares godbus the five reads that each message costs it on a plain stream.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// Conn is a connection to the system's systemd. It may be used from several goroutines. It makes itself anew when it is
// lost.
type Conn struct {
	dial dialer
	// turn holds one token, the right to look at cur and to replace it; a channel, so that waiting for it ends with a
	// context.
	turn   chan struct{}
	cur    *link
	closed bool
	// onKill hears of units that the guard kills, or is nil.
	onKill func(Killed)
}

// Dial connects to systemd over the system bus; root is also served by PID 1's own socket when there is no bus. The
// context bounds the dialling only. Errors are [ErrNoSystemd] and [ErrPermission].
func Dial(ctx context.Context) (*Conn, error) {
	if !util.IsRunningSystemd() {
		return nil, fmt.Errorf("%w: /run/systemd/system is not there", ErrNoSystemd)
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

// Close ends the connection and whatever still waits on it.
func (c *Conn) Close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	c.closed = true
	_ = c.cur.bus.Close() // what cannot be closed has gone
	return nil
}

// link gives the live connection, a new one when the last was lost.
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

// redial tries with growing pauses. There is nothing to wait for instead: a socket's path can be watched, but no event
// tells that its owner has come to listen(2).
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

// link is one connection, from its dialling to its loss.
type link struct {
	bus *dbus.Conn
	// private: PID 1 itself is at the other end. It knows no match rules and sends every signal.
	private bool

	mu sync.Mutex
	// asked are the match rules that the bus has, and the subscription that PID 1 has.
	asked map[string]bool
}

// newLink tries the bus, then, as root, PID 1's own socket.
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

// handshake dials and authenticates. What it calls takes no context: the stream is closed under them when it ends.
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
	bus, err := dbus.NewConn(&rehearsed{stream: s}, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	if err := bus.Auth(external()); err != nil {
		return nil, errors.Join(err, bus.Close())
	}
	if hello {
		if err := bus.Hello(); err != nil {
			return nil, errors.Join(err, bus.Close())
		}
	}
	return bus, nil
}
