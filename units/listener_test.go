package units_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestParseListener(t *testing.T) {
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	for s, want := range map[string]units.Listener{
		"8080":                   {Port: 8080},
		":8080":                  {Port: 8080},
		"tcp:8080":               {Port: 8080},
		"80:3000":                {Port: 80, Bind: 3000},
		"80:80":                  {Port: 80},
		"127.0.0.1:8080":         {Host: v4, Port: 8080},
		"127.0.0.1:80:3000":      {Host: v4, Port: 80, Bind: 3000},
		"[::1]:8080":             {Host: v6, Port: 8080},
		"[::1]:80:3000":          {Host: v6, Port: 80, Bind: 3000},
		"0.0.0.0:80":             {Host: netip.IPv4Unspecified(), Port: 80},
		"[::]:80":                {Host: netip.IPv6Unspecified(), Port: 80},
		"udp:53":                 {Network: units.UDP, Port: 53},
		"dns=udp:127.0.0.1:53":   {Name: "dns", Network: units.UDP, Host: v4, Port: 53},
		"admin=9000":             {Name: "admin", Port: 9000},
		"/run/x.sock":            {Network: units.Unix, Path: "/run/x.sock"},
		"/run/a=b c%.sock":       {Network: units.Unix, Path: "/run/a=b c%.sock"},
		"/run/x.sock:3000":       {Network: units.Unix, Path: "/run/x.sock", Bind: 3000},
		"x=/run/x.sock":          {Name: "x", Network: units.Unix, Path: "/run/x.sock"},
		"@abstract":              {Network: units.Unix, Path: "@abstract"},
		"back=@web/back:1":       {Name: "back", Network: units.Unix, Path: "@web/back", Bind: 1},
		"/run/with:colon:x.sock": {Network: units.Unix, Path: "/run/with:colon:x.sock"},
	} {
		if got, err := units.ParseListener(s); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "0", "65536", "-1", "+80", "080", " 80", "80 ", "8o", "80:", "80:0", "80:1:2", "::1", "::1:80", "[::1]",
		"[::1]80", "[::1", "[127.0.0.1]:80",
		"[::1%lo]:80", "[::ffff:1.2.3.4]:80", "localhost:80", "1.2.3:80", "1.2.3.256:80", "http://x:80", "udp:",
		"udp:/run/x", "udp:@x", "=80", "a b=80",
		"-a=80", "a:b=80", strings.Repeat("n", 33) + "=80", "/", "@", "@:80", "/run//x", "/run/x/", "/run/./x",
		"/run/../x", "run/x", "/run/x ", "/run/\n", `/run/x\`,
		"/run/\xff", "/run/\ufffe", "/" + strings.Repeat("x", 107), "@" + strings.Repeat("x", 107),
	} {
		l, err := units.ParseListener(s)
		var fe *units.FieldError
		if !errors.As(err, &fe) {
			t.Errorf("%q: got %+v, %v, want a FieldError", s, l, err)
		} else if fe.Hint == "" || fe.Key != "listen" {
			t.Errorf("%q: the error %+v has no hint, or the wrong key", s, fe)
		}
	}
}

// FuzzParseListener: if ParseListener returns a listener, it also parses the String of this listener, and returns an equal
// listener. systemd accepts the address.
func FuzzParseListener(f *testing.F) {
	for _, s := range []string{"8080", "80:3000", "127.0.0.1:80", "[::1]:80:3000", "udp:53", "dns=udp:53", "/run/x.sock:80",
		"@a", "a=@b:1", "[fe80::1]:1", "::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := units.ParseListener(s)
		if err != nil {
			return
		}
		again, err := units.ParseListener(l.String())
		if err != nil || again != l {
			t.Fatalf("%q: got %+v, whose String %q parses as %+v, %v", s, l, l, again, err)
		}
		address := l.Address()
		if strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }) || !systemdUTF8(address) {
			t.Fatalf("%q: a unit cannot contain the address %q", s, address)
		}
		if l.Network == units.Unix {
			if len(address) > 107 || address[0] != '/' && address[0] != '@' || l.URL() != "" {
				t.Fatalf("%q: %q is not the address of a Unix socket", s, address)
			}
			return
		}
		if l.Port == 0 || l.ProgramPort() == 0 {
			t.Fatalf("%q: the listener %+v has no port", s, l)
		}
		if l.Host.IsValid() {
			if ap, err := netip.ParseAddrPort(address); err != nil || ap != netip.AddrPortFrom(l.Host, l.Port) {
				t.Fatalf("%q: %q is not an address and a port (%v)", s, address, err)
			}
		}
	})
}

func TestListenerURL(t *testing.T) {
	for s, want := range map[string]string{
		"8080": "http://127.0.0.1:8080/", "0.0.0.0:80": "http://127.0.0.1:80/", "[::]:80": "http://[::1]:80/",
		"[2001:db8::1]:80":  "http://[2001:db8::1]:80/",
		"192.0.2.1:80:3000": "http://192.0.2.1:80/", "udp:53": "", "/run/x.sock": "", "@x": "",
	} {
		l, err := units.ParseListener(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.URL(); got != want {
			t.Errorf("%s: got %s, want %s", s, got, want)
		}
	}
}

// TestClash: Validate refuses listeners that the kernel cannot bind at the same time.
func TestClash(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"80", "80"}: true, {"80", "81"}: false, {"80", "udp:80"}: false, {"80", "127.0.0.1:80"}: true, {"127.0.0.1:80", "[::1]:80"}: false,
		{"0.0.0.0:80", "127.0.0.1:80"}: true, {"[::]:80", "127.0.0.1:80"}: true, {"127.0.0.1:80", "127.0.0.2:80"}: false,
		{"/run/a", "/run/a"}: true, {"/run/a", "/run/b"}: false, {"/run/a", "@a"}: false, {"80:1", "80:2"}: true, {"a=80", "b=80"}: true,
	} {
		a := units.App{Name: "web", Command: []string{"/bin/true"}}
		for _, s := range pair {
			l, err := units.ParseListener(s)
			if err != nil {
				t.Fatal(err)
			}
			a.Listen = append(a.Listen, l)
		}
		if err := a.Validate(); (err != nil) != want {
			t.Errorf("%q: got %v, want an error: %v", pair, err, want)
		}
	}
}

// TestOpened: the method Opened returns all addresses that the listener binds.
func TestOpened(t *testing.T) {
	for text, want := range map[string]string{
		"8080":                   "port 8080 of all addresses, http://127.0.0.1:8080/",
		"0.0.0.0:8080":           "port 8080 of all IPv4 addresses, http://127.0.0.1:8080/",
		"[::]:8080":              "port 8080 of all addresses, http://[::1]:8080/",
		"[::]:8080 0.0.0.0:8080": "port 8080 of all IPv6 addresses, http://[::1]:8080/",
		"127.0.0.1:8080":         "http://127.0.0.1:8080/",
		"80:3000":                "port 80 of all addresses, http://127.0.0.1:80/",
		"udp:53":                 "UDP port 53 of all addresses",
		"udp:127.0.0.1:53":       "UDP 127.0.0.1:53",
		"/run/x.sock":            "/run/x.sock",
		"@x":                     "@x",
	} {
		var all []units.Listener
		for _, s := range strings.Fields(text) {
			l, err := units.ParseListener(s)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		if got := all[0].Opened(all); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
