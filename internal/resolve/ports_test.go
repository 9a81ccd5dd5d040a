package resolve

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// TestCheckListener binds sockets, and checks that the error for an address in use names the app or process that has it.
func TestCheckListener(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	port := strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	udpPort := strconv.Itoa(udp.LocalAddr().(*net.UDPAddr).Port)
	dir, err := os.MkdirTemp("", "cc") // the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	stale := filepath.Join(dir, "stale")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()

	me := " (pid " + strconv.Itoa(os.Getpid()) + ")"
	for listen, want := range map[string]string{
		"127.0.0.1:" + port:        "tcp address 127.0.0.1:" + port + " is in use by ",
		port:                       "tcp port " + port + " is in use by ",
		"udp:127.0.0.1:" + udpPort: "udp address 127.0.0.1:" + udpPort + " is in use by ",
		path:                       "socket " + path + " is in use",
		stale:                      "",
		filepath.Join(dir, "new"):  "",
		"192.0.2.1:" + port:        "", // not an address of this machine
	} {
		l, err := units.ParseListener(listen)
		if err != nil {
			t.Fatal(err)
		}
		err = w.checkListener(ctx, l)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: got error %v, want %q", listen, err, want)
		}
		if strings.HasSuffix(want, "by ") && !strings.HasSuffix(err.Error(), me) {
			t.Errorf("%s: got error %v, want one that ends in%s", listen, err, me)
		}
		if want != "" && !strings.HasPrefix(fault.Hint(err), "use another: --listen ") {
			t.Errorf("%s: got the hint %q, want another address", listen, fault.Hint(err))
		}
	}
	if !strings.Contains(w.notes.String(), "192.0.2.1:"+port+": the address is not on this machine (yet)") {
		t.Errorf("got the notes %q, want a note about 192.0.2.1", w.notes.String())
	}

	// If another app has the address, the error names the app instead of the process.
	p, _ := strconv.Atoi(port)
	w.install(t, units.App{
		Name: "other", Command: []string{"/bin/true"}, Instances: units.Count{N: 1}, Activation: units.Native,
		Listen: []units.Listener{{Port: uint16(p)}},
	})
	err = w.CheckPorts(ctx, units.App{Listen: []units.Listener{{Port: uint16(p)}, {Network: units.Unix, Path: path}}})
	if err == nil || !strings.Contains(err.Error(), `is in use by the app "other"`) || len(fault.Flatten(err)) != 2 {
		t.Errorf("got error %v, want two errors, one with the name of the other app", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.checkListener(canceled, units.Listener{Port: uint16(p)}); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("with a canceled context: got error %v", err)
	}
}

func TestOtherPort(t *testing.T) {
	for listen, want := range map[string]string{"8080": "8081", "65535": "65535", "a=[::1]:80:3000": "a=[::1]:81:3000",
		"udp:53": "udp:54", "/run/x": "/run/x2"} {
		l, err := units.ParseListener(listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := otherPort(l); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
		if _, err := units.ParseListener(otherPort(l)); err != nil {
			t.Errorf("the result for %s is invalid: %v", listen, err)
		}
	}
}
