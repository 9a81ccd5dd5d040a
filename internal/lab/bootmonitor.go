package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
)

// bootMonitor receives the messages that systemd-nspawn sends about a machine (sd_notify(3)): X_NSPAWN_LEADER_PID= when the
// machine's init has started, and READY=1 when the boot is complete (--notify-ready=).
//
// bootMonitor reads messages until the machine ends, for two reasons. systemd also sends READY=1 after each daemon-reload,
// and this message must not be read during a later reboot. If the queue of the socket is full, after ten messages,
// systemd-nspawn and the machine hang.
type bootMonitor struct {
	conn *net.UnixConn

	mu      sync.Mutex
	started int           // number of boots that have started
	ready   int           // number of the last complete boot, counted from 1
	change  chan struct{} // closed and replaced after each change
}

func monitorBoots(path string) (*bootMonitor, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen for messages of systemd-nspawn: %w", err)
	}
	b := &bootMonitor{conn: conn, change: make(chan struct{})}
	go b.read()
	return b, nil
}

func (b *bootMonitor) read() {
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

// The method count returns how many boots have started.
func (b *bootMonitor) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.started
}

// The method await waits until boot number n, counted from 1, is complete. It returns an error when the channel ended is
// closed.
func (b *bootMonitor) await(ctx context.Context, n int, ended <-chan struct{}) error {
	for {
		b.mu.Lock()
		ready, change := b.ready, b.change
		b.mu.Unlock()
		if ready >= n {
			return nil
		}
		select {
		case <-change:
		case <-ended:
			return errors.New("the machine ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("did not receive READY=1: %w", context.Cause(ctx))
		}
	}
}

func (b *bootMonitor) close() { b.conn.Close() }
