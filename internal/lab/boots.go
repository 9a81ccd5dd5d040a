package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
)

// boots receives the messages that systemd-nspawn sends about a machine (sd_notify(3)):
// the machine's init has started (X_NSPAWN_LEADER_PID=), and the machine is up (READY=1,
// --notify-ready=).
//
// It reads until the machine ends, for two reasons. systemd also sends READY=1 after each
// daemon-reload, which must not count as the end of a reboot. And the queue of a datagram
// socket is full after ten messages: then systemd-nspawn would block, and with it the
// machine.
type boots struct {
	conn *net.UnixConn

	mu      sync.Mutex
	started int           // number of inits that have started
	ready   int           // number of the last init that was up
	change  chan struct{} // closed and replaced after each change
}

func listenBoots(path string) (*boots, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listening for the machine's notifications: %w", err)
	}
	b := &boots{conn: conn, change: make(chan struct{})}
	go b.read()
	return b, nil
}

func (b *boots) read() {
	buf := make([]byte, 4096)
	for {
		n, err := b.conn.Read(buf)
		if err != nil {
			return // closed
		}
		b.mu.Lock()
		for line := range strings.SplitSeq(string(buf[:n]), "\n") {
			if strings.HasPrefix(line, "X_NSPAWN_LEADER_PID=") {
				b.started++
			}
			if line == "READY=1" {
				b.ready = b.started
			}
		}
		close(b.change)
		b.change = make(chan struct{})
		b.mu.Unlock()
	}
}

// count returns how many inits have started.
func (b *boots) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.started
}

// await waits until boot number n is complete. The first boot has number 1.
func (b *boots) await(ctx context.Context, n int, gone <-chan struct{}) error {
	for {
		b.mu.Lock()
		ready, change := b.ready, b.change
		b.mu.Unlock()
		if ready >= n {
			return nil
		}
		select {
		case <-change:
		case <-gone:
			return errors.New("the machine ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("waiting for READY=1: %w", context.Cause(ctx))
		}
	}
}

func (b *boots) close() { b.conn.Close() }
