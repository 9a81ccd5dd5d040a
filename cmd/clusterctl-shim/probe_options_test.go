package main

import (
	"reflect"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// TestProbeOptions: the report contains the options that a program sets on its socket before bind.
func TestProbeOptions(t *testing.T) {
	const program = `
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 33)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
s.bind(("127.0.0.1", 5811))
s.listen()
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
time.sleep(60)
`
	f := probeOf(t, "--", python(t), "-c", program)
	if len(f.Binds) != 1 {
		t.Fatalf("the report is %+v, want one bind", f)
	}
	want := []contract.SocketOption{
		{Name: "TCP_KEEPIDLE", Number: 33}, {Name: "TCP_CONGESTION", Text: "reno"}, {Name: "SO_KEEPALIVE", Number: 1},
	}
	if got := f.Binds[0].Options; !reflect.DeepEqual(got, want) {
		t.Errorf("the options are %+v, want %+v", got, want)
	}
}

// TestProbeMulticast: Multicast is true for a socket that joins a multicast group before or after bind, or that binds the
// address of a group.
func TestProbeMulticast(t *testing.T) {
	const program = `
import socket, time
def udp(port, before=False, after=False, host=""):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    join = lambda: s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.7.7.7") + socket.inet_aton("127.0.0.1"))
    if before: join()
    s.bind((host, port))
    if after: join()
    return s
all = [udp(5812), udp(5813, before=True), udp(5814, after=True), udp(5815, host="239.7.7.7")]
time.sleep(60)
`
	f := probeOf(t, "--", python(t), "-c", program)
	got := map[uint16]bool{}
	for _, b := range f.Binds {
		got[b.Port] = b.Multicast
	}
	if want := map[uint16]bool{5812: false, 5813: true, 5814: true, 5815: true}; !reflect.DeepEqual(got, want) {
		t.Errorf("the multicast sockets are %v, want %v", got, want)
	}
}
