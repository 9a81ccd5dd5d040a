package target

import (
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func in4(port uint16, ip ...byte) []byte {
	b := make([]byte, 16)
	b[0] = unix.AF_INET
	b[2], b[3] = byte(port>>8), byte(port)
	copy(b[4:], ip)
	return b
}

func in6(port uint16, ip string) []byte {
	b := make([]byte, 28)
	b[0] = unix.AF_INET6
	b[2], b[3] = byte(port>>8), byte(port)
	a := netip.MustParseAddr(ip).As16()
	copy(b[8:], a[:])
	return b
}

func TestDecodeSockaddr(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want string // empty: ok is false
	}{
		{"ipv4", in4(8080, 127, 0, 0, 1), "127.0.0.1:8080"},
		{"ipv4 in sockaddr_storage", append(in4(80), make([]byte, 112)...), "0.0.0.0:80"},
		{"ipv4 too short", in4(80)[:15], ""},
		{"AF_UNSPEC with INADDR_ANY is ipv4", append([]byte{0, 0}, in4(80)[2:]...), "0.0.0.0:80"},
		{"AF_UNSPEC with another address", append([]byte{0, 0}, in4(80, 1, 2, 3, 4)[2:]...), ""},
		{"ipv6", in6(443, "::"), "[::]:443"},
		{"ipv6 without scope id", in6(443, "fe80::1")[:24], "[fe80::1]:443"},
		{"ipv6 too short", in6(443, "::1")[:23], ""},
		{"ipv4 mapped", in6(1, "::ffff:10.0.0.1"), "[::ffff:10.0.0.1]:1"},
		{"unix", append([]byte{1, 0}, "/run/x.sock\x00junk"...), "/run/x.sock"},
		{"unix without a zero byte at the end", append([]byte{1, 0}, "/a"...), "/a"},
		{"abstract with a zero byte within the name", append([]byte{1, 0}, "\x00a\x00b"...), "@a?b"},
		{"abstract of one byte", append([]byte{1, 0}, 0), "@"},
		{"netlink", []byte{16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ""},
		{"empty", nil, ""},
		{"longer than sockaddr_storage", make([]byte, 129), ""},
	} {
		var a Addr
		ok := DecodeSockaddr(c.in, &a)
		if ok != (c.want != "") {
			t.Errorf("%s: DecodeSockaddr returned %v, want %v", c.name, ok, c.want != "")
		}
		if got := a.String(); ok && got != c.want {
			t.Errorf("%s: the address is %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzDecodeSockaddr(f *testing.F) {
	f.Add(in4(80, 1, 2, 3, 4))
	f.Add(in6(80, "2001:db8::1"))
	f.Add(append([]byte{1, 0}, "/run/x.sock"...))
	f.Add([]byte{1, 0, 0, 'x', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Addr
		ok := DecodeSockaddr(b, &a)
		text := a.AppendTo(nil)
		if bytes.ContainsAny(text, "\n\r\x1b\x00") {
			t.Fatalf("AppendTo returned %q, which contains control bytes", text)
		}
		if !ok || a.Family == unix.AF_UNIX {
			return
		}
		got, err := netip.ParseAddrPort(string(text))
		if err != nil {
			t.Fatalf("AppendTo returned %q, which is not an address: %v", text, err)
		}
		want := netip.AddrFrom16(a.IP)
		if a.Family == unix.AF_INET {
			want = netip.AddrFrom4([4]byte(a.IP[:4]))
		}
		if got.Addr() != want || got.Port() != a.Port {
			t.Fatalf("AppendTo returned %q, want %v port %d", text, want, a.Port)
		}
		if a.Family == unix.AF_INET6 && a.Host() != want.String() {
			t.Fatalf("Host returned %q, want %q", a.Host(), want)
		}
	})
}

func TestParseProto(t *testing.T) {
	for in, want := range map[string]Kind{
		"TCP\x00": TCP4, "TCPv6\x00": TCP6, "MPTCP\x00": TCP4, "MPTCPv6": TCP6, "UDP\x00": UDP4, "UDPv6\x00": UDP6,
		"UNIX-STREAM\x00": UnixStream, "UNIX\x00": UnixOther, "NETLINK\x00": Unknown, "": Unknown, "\x00": Unknown,
	} {
		if got := ParseProto([]byte(in)); got != want {
			t.Errorf("ParseProto(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestParseUmask(t *testing.T) {
	if got, ok := ParseUmask([]byte("Name:\tpython3\nUmask:\t0027\nState:\tR (running)\n")); !ok || got != 0o27 {
		t.Errorf("ParseUmask = %o, %v, want 27, true", got, ok)
	}
	for _, in := range []string{"", "Name:\tUmask:\n", "Umask:\t\n", "Umask:\t9\n"} {
		if got, ok := ParseUmask([]byte(in)); ok {
			t.Errorf("ParseUmask(%q) = %o, true, want false", in, got)
		}
	}
	var r Reader
	if _, ok := r.Umask(uint32(os.Getpid())); !ok {
		t.Error("Umask of this process returned false, want true")
	}
}

func TestParseFlags(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint32
		ok   bool
	}{
		{"pos:\t0\nflags:\t02004002\nmnt_id:\t10\n", 0o2004002, true},
		{"flags:\t02", 2, true},
		{"flags:\t09\n", 0, false},
		{"flags:\t\n", 0, false},
		{"flags:\t777777777777\n", 0, false},
		{"xflags:\t02\n", 0, false},
		{"", 0, false},
	} {
		got, ok := ParseFlags([]byte(c.in))
		if got != c.want && c.ok || ok != c.ok {
			t.Errorf("ParseFlags(%q) = %o, %v, want %o, %v", c.in, got, ok, c.want, c.ok)
		}
	}
	if !CloseOnExec(0o2004002) || !NonBlocking(0o2004002) || CloseOnExec(2) || NonBlocking(2) {
		t.Error("CloseOnExec or NonBlocking does not return the flag")
	}
}

func TestParseSocketLink(t *testing.T) {
	for link, want := range map[string]uint64{
		"socket:[8123]": 8123, "socket:[4294967295]": 1<<32 - 1,
		"socket:[]": 0, "socket:[1": 0, "socket:1]": 0, "pipe:[1]": 0, "/tmp/socket:[1]": 0, "": 0, "socket:[-1]": 0,
	} {
		if got, ok := ParseSocketLink([]byte(link)); got != want || ok != (want != 0) {
			t.Errorf("ParseSocketLink(%q) = %d, %v, want %d", link, got, ok, want)
		}
	}
}

func TestParseUID(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint32
		ok   bool
	}{
		{"Name:\tx\nUmask:\t0022\nUid:\t0\t65534\t0\t0\nGid:\t1\t1\t1\t1\n", 65534, true},
		{"Name:\ta\\nUid:\t1\t1\t1\t1\nUid:\t7\t8\t9\t10\n", 8, true},
		{"Uid:\t0\t4294967295\t", 4294967295, true},
		{"Uid:\t0\t4294967296\t0\t0\n", 0, false},
		{"Uid:\t0\n", 0, false},
		{"Uid:\n", 0, false},
		{"Uid:", 0, false},
		{"", 0, false},
	} {
		if got, ok := ParseUID([]byte(c.in)); ok != c.ok || ok && got != c.want {
			t.Errorf("ParseUID(%q) = %d, %v, want %d, %v", c.in, got, ok, c.want, c.ok)
		}
	}
}

func FuzzParseProc(f *testing.F) {
	f.Add([]byte("pos:\t0\nflags:\t02004002\nmnt_id:\t10\n"))
	f.Add([]byte("socket:[123]"))
	f.Add([]byte("12 (a) b) S 1 12 12 0 -1 4194304 100 0 0 0 7 3 0 0 20"))
	f.Add([]byte("Name:\tx\nUid:\t0\t1\t2\t3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseUID(b)
		if flags, ok := ParseFlags(b); ok && flags > 0o7777777777 {
			t.Fatalf("ParseFlags returned %o, which has more than 10 digits", flags)
		}
		if inode, ok := ParseSocketLink(b); ok {
			want := append([]byte("socket:["), bytes.TrimLeft(b[8:len(b)-1], "0")...)
			if inode == 0 {
				return
			}
			if got := []byte("socket:[" + strconv.FormatUint(inode, 10) + "]"); !bytes.Equal(got, append(want, ']')) {
				t.Fatalf("ParseSocketLink(%q) returned the inode of %q", b, got)
			}
		}
		ParseStat(b)
		ParseProto(b)
	})
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		in           string
		want, reaped uint64
		ok           bool
	}{
		{"12 (node) S 1 12 12 0 -1 4194304 100 0 0 0 7 3 0 0 20 0", 10, 0, true},
		{"12 (a\nR) S 1 12 12 0 -1 4194304 100 0 0 0 7 3 0 0 20 0", 10, 0, true},
		{"12 (a) R (b) S 1 12 12 0 -1 4194304 100 0 0 0 7 3 0 0 20 0", 10, 0, true},
		{"12 (tmux: server)", 0, 0, false},
		{"12 (a) ", 0, 0, false},
		{"12 (a) b) (c) S 1 12 12 0 -1 4194304 100 0 0 0 7 3 1 4", 10, 5, true},
		{"12 (a) S 1 12 12 0 -1 4194304 100 0 0 0 7 3 1", 0, 0, false},
		{"12 (a) S 1 12 12 0 -1 4194304 100 0 0 0 x 3 0 0", 0, 0, false},
		{"no parenthesis", 0, 0, false},
		{"", 0, 0, false},
	} {
		got, ok := ParseStat([]byte(c.in))
		if ok != c.ok || ok && got != (Stat{'S', 1, c.want, c.reaped}) {
			t.Errorf("ParseStat(%q) = %+v, %v, want %d ticks, %d of children, %v", c.in, got, ok, c.want, c.reaped, c.ok)
		}
	}
}
