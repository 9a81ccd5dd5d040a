package sd

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// receiver binds a datagram socket to the address, as systemd does, and returns a
// function that receives one message.
func receiver(t *testing.T, address string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		conn.SetReadDeadline(time.Now().Add(patience.For(10 * time.Second)))
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestNotify(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("long", 40))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	// No socket can be bound to a path that is too long for sun_path, so the case "long"
	// renames a shorter path.
	abstract := "@clusterctl-test-" + strconv.Itoa(os.Getpid()) + strings.Repeat("x", 40)
	for name, addresses := range map[string][2]string{
		"path":     {filepath.Join(dir, "a"), filepath.Join(dir, "a")},
		"abstract": {abstract, abstract},
		"long":     {filepath.Join(dir, "b"), filepath.Join(long, "b")},
	} {
		t.Run(name, func(t *testing.T) {
			receive := receiver(t, addresses[0])
			if addresses[0] != addresses[1] {
				if err := os.Rename(addresses[0], addresses[1]); err != nil {
					t.Fatal(err)
				}
			}
			f := &fake{vars: map[string]string{"NOTIFY_SOCKET": addresses[1]}}
			if err := Notify(f.env(), "READY=1", "STATUS=well"); err != nil {
				t.Fatal(err)
			}
			if got := receive(); got != "READY=1\nSTATUS=well" {
				t.Errorf("received %q, want READY=1 and STATUS=well", got)
			}
		})
	}
}

func TestNotifyErrors(t *testing.T) {
	for socket, want := range map[string]string{
		"/nowhere/at/all":              "no such file",
		"relative":                     "neither a path nor an abstract socket",
		"vsock:2:1234":                 "neither a path nor an abstract socket",
		"/" + strings.Repeat("x", 300): "name too long",
		"@" + strings.Repeat("x", 300): "invalid argument",
	} {
		f := &fake{vars: map[string]string{"NOTIFY_SOCKET": socket}}
		if err := Notify(f.env(), "READY=1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: got %v, want %s", socket, err, want)
		}
	}
	f := &fake{vars: map[string]string{"NOTIFY_SOCKET": "/nowhere"}}
	if err := Notify(f.env(), "STATUS=a\nREADY=1"); err == nil || !strings.Contains(err.Error(), "newline") {
		t.Errorf("with a newline: got error %v", err)
	}
	for _, vars := range []map[string]string{nil, {"NOTIFY_SOCKET": ""}} {
		f := &fake{vars: vars}
		if err := Notify(f.env(), "READY=1"); err != nil {
			t.Errorf("without a socket: %v", err)
		}
	}
}

func TestProbe(t *testing.T) {
	open := func(fd int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	stream := open(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	listener := open(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	if err := unix.Listen(listener, 1); err != nil {
		t.Fatal(err)
	}
	datagram := open(unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	netlink := open(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0))
	file := open(unix.Open("/proc/self/status", unix.O_RDONLY|unix.O_CLOEXEC, 0))
	epoll := open(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	for _, test := range []struct {
		fd   int
		kind Kind
		what string
	}{
		{listener, Listener, "a listening socket"},
		{datagram, Packet, "a datagram socket"},
		{stream, Other, "a socket that does not listen"},
		{netlink, Other, "a raw socket"},
		{file, Other, "a regular file"},
		{epoll, Other, "not a socket"},
	} {
		kind, what, err := probe(test.fd)
		if err != nil || kind != test.kind || !strings.HasPrefix(what, test.what) {
			t.Errorf("%s: got %v %q %v", test.what, kind, what, err)
		}
	}
	if _, _, err := probe(1 << 20); err != unix.EBADF {
		t.Errorf("probe of a descriptor that is not open: got error %v, want EBADF", err)
	}
}

// TestPidfdID checks that two calls return the same ID, which is not 0.
func TestPidfdID(t *testing.T) {
	id, ok := pidfdID()
	var release unix.Utsname
	if err := unix.Uname(&release); err != nil {
		t.Fatal(err)
	}
	again, _ := pidfdID()
	if ok && (id == 0 || id != again) {
		t.Errorf("got the IDs %d and %d, want the same ID twice, not 0", id, again)
	}
	t.Logf("kernel %s: id %d, %v", unix.ByteSliceToString(release.Release[:]), id, ok)
}
