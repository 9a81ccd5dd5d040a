package units

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Network is the kind of a listener.
type Network int

const (
	// TCP is ListenStream= with a port. The zero value.
	TCP Network = iota
	// UDP is ListenDatagram= with a port.
	UDP
	// Unix is ListenStream= with a path, or an abstract name that begins with "@".
	Unix
)

func (n Network) String() string { return [...]string{"tcp", "udp", "unix"}[n] }

// Listener is one shared listening socket (systemd.socket(5)).
type Listener struct {
	// Name is FileDescriptorName=; empty means "http" for streams and "udp" for datagrams.
	Name    string
	Network Network
	// Host is the address to bind; the zero Addr means all addresses, IPv6 and IPv4 in one socket.
	Host netip.Addr
	// Port is the public port of TCP and UDP.
	Port uint16
	// Path is the file of a Unix socket, or "@name" in the abstract name space.
	Path string
	// Bind is the port that an adopted program binds, where it is not the public one; 0 means the same.
	Bind uint16
}

// Names given to listeners that have none of their own. A worker that uses the activation package asks for these.
const (
	DefaultStreamName   = "http"
	DefaultDatagramName = "udp"
)

// maxSocketPath is the longest sun_path that systemd takes (unix(7): 108 with the final NUL).
const maxSocketPath = 107

const listenHint = "use 8080, 127.0.0.1:8080, [::1]:8080, /run/app.sock, udp:5353, NAME=8080, or 80:3000 when the program itself binds 3000"

// ParseListener reads [NAME=][tcp:|udp:]ADDRESS[:PORT-OF-THE-PROGRAM], where ADDRESS is a port, an IP address with a
// port, an absolute path or an abstract socket's @name.
func ParseListener(s string) (Listener, error) {
	var l Listener
	fail := func(format string, args ...any) (Listener, error) {
		return Listener{}, fieldErrorf("listen", listenHint, "%q: "+format, append([]any{s}, args...)...)
	}
	rest := s
	if name, after, ok := strings.Cut(rest, "="); ok && !strings.ContainsAny(name, "/@[:") {
		if why := checkFDName(name); why != "" {
			return fail("the name %q %s", name, why)
		}
		l.Name, rest = name, after
	}
	if after, ok := strings.CutPrefix(rest, "udp:"); ok {
		l.Network, rest = UDP, after
	} else {
		rest = strings.TrimPrefix(rest, "tcp:")
	}
	if strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "@") {
		if l.Network == UDP {
			return fail("a path cannot be a UDP socket")
		}
		return parseUnixListener(l, rest, fail)
	}
	return parseIPListener(l, rest, fail)
}

func parseUnixListener(l Listener, rest string, fail func(string, ...any) (Listener, error)) (Listener, error) {
	l.Network = Unix
	l.Path = rest
	if i := strings.LastIndexByte(rest, ':'); i > 0 {
		if port, ok := parsePort(rest[i+1:]); ok {
			l.Path, l.Bind = rest[:i], port
		}
	}
	switch {
	case len(l.Path) > maxSocketPath:
		return fail("the path is longer than %d bytes", maxSocketPath)
	case l.Path[0] == '@' && len(l.Path) == 1, l.Path == "/":
		return fail("there is no name")
	case l.Path[0] == '/' && path.Clean(l.Path) != l.Path:
		return fail("the path is not in its shortest form, %s", path.Clean(l.Path))
	}
	if _, err := plain("listen", l.Path); err != nil {
		return fail("the path has a character that a unit file cannot hold")
	}
	return l, nil
}

func parseIPListener(l Listener, rest string, fail func(string, ...any) (Listener, error)) (Listener, error) {
	host := ""
	if strings.HasPrefix(rest, "[") {
		inside, after, ok := strings.Cut(rest[1:], "]")
		if !ok || !strings.HasPrefix(after, ":") {
			return fail("is not of the form [IPV6-ADDRESS]:PORT")
		}
		host, rest = inside, after[1:]
		if !strings.Contains(host, ":") {
			return fail("%q is not an IPv6 address", host)
		}
	} else if before, after, ok := strings.Cut(rest, ":"); ok {
		// 80:3000 has a port in front of the colon, 127.0.0.1:80 and :80 have an address.
		if _, isPort := parsePort(before); !isPort {
			host, rest = before, after
		}
	}
	if host != "" {
		addr, err := netip.ParseAddr(host)
		switch {
		case err != nil:
			return fail("%q is not an IP address (names are not looked up)", host)
		case addr.Zone() != "":
			return fail("an address with a zone is not supported")
		case addr.Is4In6():
			return fail("write the IPv4 address as it is")
		}
		l.Host = addr
	}
	public, program, mapped := strings.Cut(rest, ":")
	port, ok := parsePort(public)
	if !ok {
		return fail("%q is not a port (1-65535)", public)
	}
	l.Port = port
	if mapped {
		if l.Bind, ok = parsePort(program); !ok {
			return fail("%q is not a port (1-65535)", program)
		}
		if l.Bind == l.Port {
			l.Bind = 0
		}
	}
	return l, nil
}

// parsePort is strict: no sign, no leading zero, 1 to 65535.
func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return uint16(n), true
}

// checkFDName says what keeps a name from being a FileDescriptorName= and a part of a unit name, or "".
func checkFDName(s string) string {
	if s == "" {
		return "is empty"
	}
	if len(s) > 32 {
		return "is longer than 32 bytes"
	}
	if !isAlnum(s[0]) {
		return "does not begin with a letter or a digit"
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '-' {
			return `may contain only letters, digits, "_" and "-"`
		}
	}
	return ""
}

// FDName is the name under which the worker finds the listener (LISTEN_FDNAMES, since 227).
func (l Listener) FDName() string {
	switch {
	case l.Name != "":
		return l.Name
	case l.Network == UDP:
		return DefaultDatagramName
	}
	return DefaultStreamName
}

// Address is the value of ListenStream= or ListenDatagram=.
func (l Listener) Address() string {
	switch {
	case l.Network == Unix:
		return l.Path
	case !l.Host.IsValid():
		return strconv.Itoa(int(l.Port))
	}
	return netip.AddrPortFrom(l.Host, l.Port).String()
}

// String re-parses to the same Listener.
func (l Listener) String() string {
	s := l.Address()
	if l.Network == UDP {
		s = "udp:" + s
	}
	if l.Name != "" {
		s = l.Name + "=" + s
	}
	if l.Bind != 0 {
		s += ":" + strconv.Itoa(int(l.Bind))
	}
	return s
}

// Description returns the listener in words, such as "tcp port 80".
func (l Listener) Description() string {
	if l.Network == Unix {
		return "socket " + l.Path
	}
	if !l.Host.IsValid() {
		return l.Network.String() + " port " + strconv.Itoa(int(l.Port))
	}
	return l.Network.String() + " address " + l.Address()
}

// ProgramPort is the port that the program binds; 0 for a Unix socket that it binds itself.
func (l Listener) ProgramPort() uint16 {
	if l.Bind != 0 {
		return l.Bind
	}
	return l.Port
}

// URL is where a person can reach the listener from the machine itself, or "" when it is not TCP.
func (l Listener) URL() string {
	if l.Network != TCP {
		return ""
	}
	host := "127.0.0.1"
	if l.Host.IsValid() && !l.Host.IsUnspecified() {
		host = l.Host.String()
	} else if l.Host.Is6() {
		host = "::1"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "http://" + host + ":" + strconv.Itoa(int(l.Port)) + "/"
}

// Opened says what the listener opens, for people: all addresses, or the one address. all are the listeners of the app.
func (l Listener) Opened(all []Listener) string {
	port, kind := strconv.Itoa(int(l.Port)), ""
	if l.Network == UDP {
		kind = "UDP "
	}
	where := ""
	switch {
	case l.Network == Unix:
		return l.Path
	case !l.Host.IsValid(), l.Host == netip.IPv6Unspecified() && !l.paired(all):
		where = kind + "port " + port + " of all addresses"
	case l.Host.IsUnspecified() && l.Host.Is4():
		where = kind + "port " + port + " of all IPv4 addresses"
	case l.Host.IsUnspecified():
		where = kind + "port " + port + " of all IPv6 addresses"
	case l.Network == UDP:
		return kind + l.Address()
	default:
		return l.URL()
	}
	if url := l.URL(); url != "" {
		where += ", " + url
	}
	return where
}

// paired says whether the listener's twin of the other family is among those given.
func (l Listener) paired(all []Listener) bool { return slices.ContainsFunc(all, l.pair) }

// clash says whether two listeners could not be bound at the same time.
func (l Listener) clash(m Listener) bool {
	if l.Network != m.Network {
		return false
	}
	if l.Network == Unix {
		return l.Path == m.Path
	}
	return l.Port == m.Port && !l.pair(m) && (l.everywhere() || m.everywhere() || l.Host == m.Host)
}

// SharesPort reports whether two listeners have the same port of the same protocol, whatever their hosts, or the same path.
func (l Listener) SharesPort(m Listener) bool {
	return l.Network == m.Network && l.Port == m.Port && l.Path == m.Path
}

// pair: 0.0.0.0 and [::] on one port, written out, are one socket for each family (BindIPv6Only=ipv6-only), as in
// nginx's "listen 80; listen [::]:80;".
func (l Listener) pair(m Listener) bool {
	return l.Port == m.Port && l.Network == m.Network && l.Host.IsValid() && m.Host.IsValid() &&
		l.Host.IsUnspecified() && m.Host.IsUnspecified() && l.Host.Is4() != m.Host.Is4()
}

// everywhere: an unspecified IPv6 address takes IPv4 too (BindIPv6Only= follows the sysctl, 0 by default).
func (l Listener) everywhere() bool { return !l.Host.IsValid() || l.Host.IsUnspecified() }
