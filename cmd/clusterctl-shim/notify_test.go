package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// TestFullNotifySocket: if the queue of NOTIFY_SOCKET is full, the notifier sends READY=1 when the queue has room. While the
// queue is full, the notifier still handles the calls of the program.
func TestFullNotifySocket(t *testing.T) {
	l, address := listen(t, "tcp6", "[::]:0", true)
	ready := listenNotify(t)
	const other = "STATUS=of another sender"
	fillQueue(t, ready.LocalAddr().String(), other)
	w := startUnder(t, ready, []*os.File{l}, nil, shim, "run", "--adopt", "--", filepath.Join(testdata, "goserver"), ":"+port(address))
	fetch(t, "tcp6", "[::1]:"+port(address))
	waitAsleep(t, w.notifier(t))
	if err := ready.SetReadDeadline(time.Now().Add(patience.For(bound))); err != nil {
		t.Fatal(err)
	}
	var b [512]byte
	for got := ""; got != readyMessage; {
		n, err := ready.Read(b[:])
		if err != nil {
			t.Fatalf("READY=1 did not come: %v", err)
		}
		if got = string(b[:n]); got != other && got != readyMessage {
			t.Errorf("NOTIFY_SOCKET received %q, want READY=1 or the messages in the queue", got)
		}
	}
	w.stop(t)
}

// fillQueue sends the message until the queue is full.
func fillQueue(t *testing.T, path, message string) {
	t.Helper()
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Write(func(fd uintptr) bool {
		for err = nil; err == nil; {
			err = syscall.Sendto(int(fd), []byte(message), syscall.MSG_DONTWAIT, nil)
		}
		return true
	})
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
}
