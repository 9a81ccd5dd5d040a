package adopt

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

func tcp4(port uint16, want string, ip ...byte) Listener {
	l := Listener{Kind: target.TCP4, Addr: target.Addr{Family: unix.AF_INET, Port: port}}
	copy(l.Addr.IP[:], ip)
	return withWant(l, want)
}

func tcp6(port uint16, want string) Listener {
	return withWant(Listener{Kind: target.TCP6, Addr: target.Addr{Family: unix.AF_INET6, Port: port}}, want)
}

func withWant(l Listener, want string) Listener {
	l.Want = contract.Bind{Kind: kindOf(l.Kind), Port: l.Addr.Port}
	if want != "" {
		w, err := contract.ParseBind(want)
		if err != nil {
			panic(err)
		}
		l.Want = w
	}
	return l
}

func addr(family, port uint16, ip ...byte) *target.Addr {
	a := &target.Addr{Family: family, Port: port}
	copy(a.IP[:], ip)
	return a
}

func TestMatch(t *testing.T) {
	const in, in6 = unix.AF_INET, unix.AF_INET6
	taken := tcp4(80, "")
	taken.ready = true
	path := &target.Addr{Family: unix.AF_UNIX}
	path.SetPath("/run/x")
	for _, c := range []struct {
		name     string
		ls       []Listener
		kind     target.Kind
		a        *target.Addr
		at, near int
	}{
		{"own port", []Listener{tcp4(80, "")}, target.TCP4, addr(in, 80), 0, -1},
		{"program with another address", []Listener{tcp4(80, "", 10, 0, 0, 1)}, target.TCP4, addr(in, 80, 127, 0, 0, 1), 0, -1},
		{"another port", []Listener{tcp4(80, "")}, target.TCP4, addr(in, 81), -1, -1},
		{"any port", []Listener{tcp4(80, "")}, target.TCP4, addr(in, 0), -1, -1},
		{"udp on the same port", []Listener{tcp4(80, "")}, target.UDP4, addr(in, 80), -1, -1},
		{"ipv6 program, ipv4 socket", []Listener{tcp4(80, "")}, target.TCP6, addr(in6, 80), -1, 0},
		{"ipv4 program, ipv6 socket", []Listener{tcp6(80, "")}, target.TCP4, addr(in, 80), -1, 0},
		{"mapped port", []Listener{tcp4(80, "tcp4:3000")}, target.TCP4, addr(in, 3000), 0, -1},
		{"mapped port, program binds the port of the unit", []Listener{tcp4(80, "tcp4:3000")}, target.TCP4, addr(in, 80), -1, -1},
		{"map for both families, ipv4 socket", []Listener{tcp4(80, "tcp:3000")}, target.TCP6, addr(in6, 3000), 0, -1},
		{"map for both families, ipv6 socket", []Listener{tcp6(80, "tcp:3000")}, target.TCP4, addr(in, 3000), -1, 0},
		{"map for ipv4, ipv6 socket", []Listener{tcp6(80, "tcp4:3000")}, target.TCP4, addr(in, 3000), 0, -1},
		{"one has the address", []Listener{tcp4(80, ""), tcp4(80, "", 127, 0, 0, 1)}, target.TCP4, addr(in, 80, 127, 0, 0, 1), 1, -1},
		{"one is taken", []Listener{taken, tcp4(80, "", 10, 0, 0, 1)}, target.TCP4, addr(in, 80, 127, 0, 0, 1), 1, -1},
		{"a listener for each family", []Listener{tcp4(80, ""), tcp6(80, "")}, target.TCP6, addr(in6, 80), 1, 0},
		{"unix path", []Listener{withWant(Listener{Kind: target.UnixStream}, "unix:/run/x")}, target.UnixStream, path, 0, -1},
		{"another unix path", []Listener{withWant(Listener{Kind: target.UnixStream}, "unix:/run/y")}, target.UnixStream, path, -1, -1},
	} {
		at, near := match(c.ls, c.kind, c.a)
		if at != c.at || at < 0 && near != c.near {
			t.Errorf("%s: match returned %d, near %d; want %d, near %d", c.name, at, near, c.at, c.near)
		}
	}
}

func TestLineNeverOverflows(t *testing.T) {
	var l line
	long := strings.Repeat("x", 1000)
	if n := testing.AllocsPerRun(10, func() {
		l.start("a ").str(long).bytes([]byte("b\n")).num(1 << 60).errno(unix.EPERM).str(long)
	}); n != 0 {
		t.Errorf("the methods of line allocate memory %v times, want 0", n)
	}
	if len(l.b) >= len(l.buf) || &l.b[0] != &l.buf[0] {
		t.Errorf("the line does not fit into its buffer: %d bytes", len(l.b))
	}
	if got := string(l.start("x").bytes([]byte("a\nb\x1b")).b); got != contract.LogPrefix+"xa?b?" {
		t.Errorf("got the line %q, want xa?b? after the prefix", got)
	}
}
