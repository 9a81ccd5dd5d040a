package main

import (
	"net"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestShutdown: when a program shuts its listener down, the listener still listens for the other instances. The threads of
// the program that wait for connections return from their system calls, as without the shim.
func TestShutdown(t *testing.T) {
	for _, c := range []struct {
		way      string // how another thread of the program waits for connections
		flags    []string
		blocking bool
		want     string
	}{
		{"none", nil, false, "closed\n"},
		{"none", []string{"--accept", "hold"}, true, "closed\n"},
		{"accept", []string{"--accept", "hold"}, true, "accept EINVAL\nclosed\n"},
		{"poll", []string{"--accept", "hold"}, true, "poll EINVAL\nclosed\n"},
		{"select", []string{"--accept", "hold"}, true, "select EINVAL\nclosed\n"},
	} {
		t.Run(c.way, func(t *testing.T) {
			t.Parallel()
			l, address := listen(t, "tcp4", "127.0.0.1:0", !c.blocking)
			args := append(append([]string{"--adopt"}, c.flags...), "--", python(t), data(t, "shutdown.py"), port(address), c.way)
			w := startWorker(t, []*os.File{l}, args...)
			w.waitReady(t)
			if err := w.waitGone(t); err != nil {
				t.Errorf("the program ended with %v\n%s", err, w.output)
			}
			if got := w.output.String(); got != c.want {
				t.Errorf("the program printed %q, want %q", got, c.want)
			}
			if !listens(t, l) {
				t.Error("the shared listener does not listen after the shutdown")
			}
		})
	}
}

// listens reports whether a socket is a listener.
func listens(t *testing.T, l *os.File) bool {
	t.Helper()
	on, err := unix.GetsockoptInt(int(l.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		t.Fatal(err)
	}
	return on == 1
}

// TestShutdownOfDatagrams: a program cannot shut down a shared datagram socket. shutdown(2) fails with ENOTCONN.
func TestShutdownOfDatagrams(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer c.Close()
	w := startWorker(t, []*os.File{f}, "--adopt", "--", python(t), data(t, "shutdown.py"), port(c.LocalAddr().String()), "udp")
	if err := w.waitGone(t); err != nil {
		t.Errorf("the program ended with %v\n%s", err, w.output)
	}
	if got := w.output.String(); got != "ENOTCONN\nENOTCONN\nENOTCONN\n" {
		t.Errorf("the program printed %q, want ENOTCONN three times", got)
	}
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Errorf("sending on the shared socket: %v, want no error", err)
	}
}

// TestRelisten: a listener that another process has shut down listens again with the same backlog. The notifier of a running
// worker repairs the listener at once, and a worker that starts repairs the listener too.
func TestRelisten(t *testing.T) {
	// Listen on a fixed port: after a shutdown, the kernel would free a port that it has chosen itself.
	free, address := listen(t, "tcp6", "[::]:0", true)
	free.Close()
	l, _ := listen(t, "tcp6", address, true)
	const backlog = 77
	if err := unix.Listen(int(l.Fd()), backlog); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, []*os.File{l}, "--adopt", "--", node(t), data(t, "server.js"), port(address))
	w.waitReady(t)
	for _, breakListener := range []func() error{
		func() error { return unix.Shutdown(int(l.Fd()), unix.SHUT_RD) },
		func() error { return unix.Shutdown(int(l.Fd()), unix.SHUT_RDWR) },
		func() error {
			for range 3 { // the second shutdown sets a state that connections would inherit
				_ = unix.Shutdown(int(l.Fd()), unix.SHUT_RDWR)
			}
			return nil
		},
		func() error { return disconnect(int(l.Fd())) },
	} {
		if err := breakListener(); err != nil {
			t.Fatal(err)
		}
		awaitListening(t, l)
		fetch(t, "tcp6", "[::1]:"+port(address))
		info, err := unix.GetsockoptTCPInfo(int(l.Fd()), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Sacked != backlog {
			t.Errorf("the maximum length of the accept queue is %d, error %v, want %d", info.Sacked, err, backlog)
		}
	}
	w.stop(t)
	if err := unix.Shutdown(int(l.Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	w = startWorker(t, []*os.File{l}, "--adopt", "--", node(t), data(t, "server.js"), port(address))
	w.waitReady(t)
	awaitListening(t, l)
	fetch(t, "tcp6", "[::1]:"+port(address))
	w.stop(t)
}

// disconnect calls connect(2) with AF_UNSPEC, after which a listener does not listen.
func disconnect(fd int) error {
	none := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4)
	if e != 0 {
		return e
	}
	return nil
}

// awaitListening waits until the socket listens. There is no event for this change, so awaitListening polls.
func awaitListening(t *testing.T, l *os.File) {
	t.Helper()
	for end := time.Now().Add(bound); !listens(t, l); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the listener does not listen again")
		}
	}
}
