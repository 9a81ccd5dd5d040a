package sockopt

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

func socket(t *testing.T, domain, typ int) int {
	t.Helper()
	fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestCopy: Read and Apply copy the options of a socket to a listener, and a connection of the listener inherits the
// options.
func TestCopy(t *testing.T) {
	own := socket(t, unix.AF_INET, unix.SOCK_STREAM)
	want := []struct{ level, number, value, read int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 33, 33},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 7, 7},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4, 4},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 12345, 12345},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 30000, 60000},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, 40000, 80000},
		{unix.IPPROTO_IP, unix.IP_TOS, 0x10, 0x10},
		{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 16384, 16384},
	}
	for _, w := range want {
		if err := unix.SetsockoptInt(own, w.level, w.number, w.value); err != nil {
			t.Fatal(w, err)
		}
	}
	onlyListener := []struct{ level, number, value int }{{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1},
		{unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 17}, {unix.SOL_SOCKET, unix.SO_PRIORITY, 5}}
	for _, w := range onlyListener {
		if err := unix.SetsockoptInt(own, w.level, w.number, w.value); err != nil {
			t.Fatal(w, err)
		}
	}
	linger := unix.Linger{Onoff: 1, Linger: 9}
	if err := unix.SetsockoptLinger(own, unix.SOL_SOCKET, unix.SO_LINGER, &linger); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptString(own, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno"); err != nil {
		t.Fatal(err)
	}

	shared := socket(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Bind(shared, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(shared, 10); err != nil {
		t.Fatal(err)
	}
	var s Set
	if n := testing.AllocsPerRun(5, func() {
		if e := s.Read(own); e != 0 {
			t.Fatal(e)
		}
		if name, e := s.Apply(shared); e != 0 {
			t.Fatal(name, e)
		}
	}); n != 0 {
		t.Errorf("Read and Apply made %v allocations, want 0", n)
	}
	for _, w := range onlyListener {
		if got, err := unix.GetsockoptInt(shared, w.level, w.number); err != nil || got != w.value {
			t.Errorf("the listener has the value %d, error %v, want %+v", got, err, w)
		}
	}
	conn := accept(t, shared)
	for _, w := range want {
		if got, err := unix.GetsockoptInt(conn, w.level, w.number); err != nil || got != w.read {
			t.Errorf("the connection has the value %d, error %v, want %+v", got, err, w)
		}
	}
	if got, err := unix.GetsockoptString(conn, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || got != "reno" {
		t.Errorf("the connection has TCP_CONGESTION %q, error %v, want reno", got, err)
	}
	var v [maxSize]byte
	if e := get(conn, &option{level: unix.SOL_SOCKET, number: unix.SO_LINGER, size: 8}, &v); e != 0 || v[0] != 1 || v[4] != 9 {
		t.Errorf("the connection has SO_LINGER %v, error %v, want on and 9 s", v, e)
	}
}

// The function accept connects to the listener and accepts the connection. The client sends a byte, because with
// TCP_DEFER_ACCEPT the kernel only accepts connections with data.
func accept(t *testing.T, listener int) int {
	t.Helper()
	to, err := unix.Getsockname(listener)
	if err != nil {
		t.Fatal(err)
	}
	client := socket(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Connect(client, to); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(client, []byte("x")); err != nil {
		t.Fatal(err)
	}
	conn, _, err := unix.Accept(listener)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(conn) })
	return conn
}

// TestNewSocket: Read of a new socket of any kind stores no option.
func TestNewSocket(t *testing.T) {
	for _, domain := range []int{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX} {
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			var s Set
			if e := s.Read(socket(t, domain, typ)); e != 0 || len(s.Values()) > 0 {
				t.Errorf("domain %d, type %d: options %v, error %v, want none", domain, typ, s.Values(), e)
			}
		}
	}
	var s Set
	if e := s.Read(0); e == 0 {
		t.Error("Read of a file that is not a socket returned no error")
	}
}

func TestValues(t *testing.T) {
	fd := socket(t, unix.AF_INET, unix.SOCK_DGRAM)
	for number, value := range map[int]int{unix.SO_RCVBUF: 30000, unix.SO_BROADCAST: 1} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, number, value); err != nil {
			t.Fatal(err)
		}
	}
	var s Set
	if e := s.Read(fd); e != 0 {
		t.Fatal(e)
	}
	got := slices.DeleteFunc(s.Values(), func(v contract.SocketOption) bool { return v.Name == "SO_BUF_LOCK" }) // new in Linux 5.14
	if want := []contract.SocketOption{{Name: "SO_BROADCAST", Number: 1}, {Name: "SO_RCVBUF", Number: 30000}}; !slices.Equal(got, want) {
		t.Errorf("Values() = %v, want %v", got, want)
	}
}

// TestAnotherFamily: Apply skips an option that a socket of another family does not support.
func TestAnotherFamily(t *testing.T) {
	own := socket(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.SetsockoptInt(own, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		t.Fatal(err)
	}
	var s Set
	if e := s.Read(own); e != 0 {
		t.Fatal(e)
	}
	if name, e := s.Apply(socket(t, unix.AF_UNIX, unix.SOCK_STREAM)); e != 0 {
		t.Errorf("Apply to a Unix socket returned option %s, error %v, want no error", name, e)
	}
}
