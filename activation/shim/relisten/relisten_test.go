package relisten

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{"80": ":80", "127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "0.0.0.0:1": "0.0.0.0:1"} {
		got, err := Parse(in)
		if err != nil || got.String() != want && in != "80" || got.Port() == 0 || in == "80" && got.Addr().IsValid() {
			t.Errorf("Parse(%q) = %v, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "65536", "-1", "/run/x", "@x", "127.0.0.1", "127.0.0.1:0", "x:80"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", in, got)
		}
	}
}

// TestAgain: Again repairs the listeners of this process that were shut down and have one of the addresses.
func TestAgain(t *testing.T) {
	at := func(network, address string) (*os.File, netip.AddrPort) {
		t.Helper()
		var plain net.ListenConfig
		plain.SetMultipathTCP(false) // as systemd does
		l, err := plain.Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		// Listen on a fixed port: after a shutdown, the kernel would free a port that it has chosen itself.
		chosen := l.Addr().String()
		l.Close()
		if l, err = plain.Listen(t.Context(), network, chosen); err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		t.Cleanup(func() { f.Close() })
		return f, netip.MustParseAddrPort(chosen)
	}
	listens := func(f *os.File) bool {
		on, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		return err == nil && on == 1
	}
	every, everyAt := at("tcp6", "[::]:0")
	local, localAt := at("tcp4", "127.0.0.1:0")
	other, _ := at("tcp4", "127.0.0.1:0")
	for _, f := range []*os.File{every, local, other} {
		_ = unix.Shutdown(int(f.Fd()), unix.SHUT_RDWR)
		// The second shutdown fails, but sets a state of the socket that connections would inherit.
		if err := unix.Shutdown(int(f.Fd()), unix.SHUT_RDWR); !errors.Is(err, unix.ENOTCONN) {
			t.Fatal(err)
		}
		if listens(f) {
			t.Fatal("the listener still listens after shutdown")
		}
	}
	_ = unix.Listen(int(every.Fd()), 10) // the socket listens, but connections still inherit the state of the shutdown
	want := []netip.AddrPort{netip.AddrPortFrom(netip.Addr{}, everyAt.Port()), localAt}
	if n, err := Again(os.Getpid(), want); n != 2 || err != nil {
		t.Errorf("Again returned %d, %v, want 2 repaired listeners", n, err)
	}
	if !listens(every) || !listens(local) {
		t.Errorf("[::] listens: %v, 127.0.0.1 listens: %v, want true and true", listens(every), listens(local))
	}
	for _, f := range []*os.File{every, local} {
		serves(t, f)
	}
	if listens(other) {
		t.Error("a listener with another address listens again")
	}
	if n, err := Again(os.Getpid(), want); n != 0 || err != nil {
		t.Errorf("the second call of Again returned %d, %v, want 0", n, err)
	}
}

// TestWatch: while Watch runs, a listener listens again after each shutdown. Watch returns when the worker ends.
func TestWatch(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}), unix.Listen(fd, 5)); err != nil {
		t.Fatal(err)
	}
	worker := exec.Command("sleep", "600")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(worker.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- Watch(os.Getpid(), []netip.AddrPort{at}, pidfd, func() { close(ready) }) }()
	<-ready
	for range 5 {
		if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
			t.Fatal(err)
		}
		for {
			c, err := net.Dial("tcp4", at.String())
			if err == nil {
				c.Close()
				break
			}
			if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ECONNRESET) {
				t.Fatal(err)
			}
		}
	}
	_ = worker.Process.Kill()
	_ = worker.Wait()
	if err := <-done; err != nil {
		t.Errorf("Watch returned %v, want nil", err)
	}
}

// The function serves checks that the listener accepts a connection, and that one byte arrives.
func serves(t *testing.T, f *os.File) {
	t.Helper()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := s.Read(make([]byte, 1)); n != 1 {
		t.Errorf("connection to %v: read %d bytes, error %v, want 1 byte", l.Addr(), n, err)
	}
}
