package units

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Network is the protocol of a listener.
type Network int

const (
	// TCP, the zero value, means ListenStream= with a port.
	TCP Network = iota
	// UDP means ListenDatagram= with a port.
	UDP
	// Unix means ListenStream= with a path, or an abstract name that begins with "@".
	Unix
)

func (n Network) String() string { return [...]string{"tcp", "udp", "unix"}[n] }

// Listener is one shared listening socket (systemd.socket(5)).
type Listener struct {
	// Name is FileDescriptorName=. Empty means "http" for streams and "udp" for datagrams.
	Name    string
	Network Network
	// Host is the address to bind. The zero Addr means all addresses, IPv6 and IPv4 in one socket.
	Host netip.Addr
	// Port is the public port of TCP and UDP.
	Port uint16
	// Path is the file of a Unix socket, or "@name" for an abstract socket.
	Path string
	// The field Bind is the port that an adopted program binds; 0 means the public port.
	Bind uint16
}

// These are the default names of listeners. Package activation has the same defaults.
const (
	DefaultStreamName   = "http"
	DefaultDatagramName = "udp"
)

// maxSocketPath is the longest socket path that systemd accepts (unix(7): 108 bytes with the final NUL).
const maxSocketPath = 107

const listenHint = "use 8080, 127.0.0.1:8080, [::1]:8080, /run/app.sock, udp:5353, NAME=8080, or 80:3000 when the program itself binds 3000"

// ParseListener parses [NAME=][tcp:|udp:]ADDRESS[:PROGRAM-PORT]. ADDRESS is a port, an IP address with a port, an absolute
// path, or the @name of an abstract socket.
func ParseListener(s string) (Listener, error) {
	var l Listener
	fail := func(subject, why string) (Listener, error) {
		if subject != strconv.Quote(s) {
			subject = strconv.Quote(s) + ": " + subject
		}
		return Listener{}, fieldErrorf("listen", listenHint, "%s %s", subject, why)
	}
	rest := s
	if name, after, ok := strings.Cut(rest, "="); ok && !strings.ContainsAny(name, "/@[:") {
		if why := checkFDName(name); why != "" {
			return fail("the name "+strconv.Quote(name), why)
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
			return fail("a path", "cannot be a UDP socket")
		}
		return parseUnixListener(l, rest, fail)
	}
	return parseIPListener(l, rest, fail)
}

func parseUnixListener(l Listener, rest string, fail func(subject, why string) (Listener, error)) (Listener, error) {
	l.Network = Unix
	l.Path = rest
	if i := strings.LastIndexByte(rest, ':'); i > 0 {
		if port, ok := parsePort(rest[i+1:]); ok {
			l.Path, l.Bind = rest[:i], port
		}
	}
	switch {
	case len(l.Path) > maxSocketPath:
		return fail("the path", fmt.Sprintf("is longer than %d bytes", maxSocketPath))
	case l.Path[0] == '@' && len(l.Path) == 1, l.Path == "/":
		return fail("the path or name", "is empty")
	case l.Path[0] == '/' && path.Clean(l.Path) != l.Path:
		return fail("the path", "is not in its shortest form, "+path.Clean(l.Path))
	}
	if _, err := lineText("listen", l.Path); err != nil {
		return fail("the path", "has a character that a unit file cannot hold")
	}
	return l, nil
}

func parseIPListener(l Listener, rest string, fail func(subject, why string) (Listener, error)) (Listener, error) {
	host := ""
	if strings.HasPrefix(rest, "[") {
		inside, after, ok := strings.Cut(rest[1:], "]")
		if !ok || !strings.HasPrefix(after, ":") {
			return fail(strconv.Quote(rest), "is not of the form [IPV6-ADDRESS]:PORT")
		}
		host, rest = inside, after[1:]
		if !strings.Contains(host, ":") {
			return fail(strconv.Quote(host), "is not an IPv6 address")
		}
	} else if before, after, ok := strings.Cut(rest, ":"); ok {
		// In 80:3000, the text before the colon is a port. In 127.0.0.1:80 and :80, this text is an address.
		if _, isPort := parsePort(before); !isPort {
			host, rest = before, after
		}
	}
	if host != "" {
		addr, err := netip.ParseAddr(host)
		switch {
		case err != nil:
			return fail(strconv.Quote(host), "is not an IP address (names are not looked up)")
		case addr.Zone() != "":
			return fail("an address with a zone", "is not supported")
		case addr.Is4In6():
			return fail("an IPv4 address in IPv6 notation", "is not supported: write "+addr.Unmap().String())
		}
		l.Host = addr
	}
	public, program, mapped := strings.Cut(rest, ":")
	port, ok := parsePort(public)
	if !ok {
		return fail(strconv.Quote(public), "is not a port (1-65535)")
	}
	l.Port = port
	if mapped {
		if l.Bind, ok = parsePort(program); !ok {
			return fail(strconv.Quote(program), "is not a port (1-65535)")
		}
		if l.Bind == l.Port {
			l.Bind = 0
		}
	}
	return l, nil
}

// parsePort parses a port from 1 to 65535, without a sign or leading zeros.
func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return uint16(n), true
}

// checkFDName returns why a name cannot be a FileDescriptorName= and a part of a unit name, or "" if it can.
func checkFDName(s string) string {
	if s == "" {
		return "is empty"
	}
	if len(s) > 32 {
		return "is longer than 32 bytes"
	}
	if !alnumOr(s[:1], "") {
		return "does not begin with a letter or a digit"
	}
	if !alnumOr(s, "_-") {
		return `may contain only letters, digits, "_" and "-"`
	}
	return ""
}

// FDName returns the name of the listener for the worker (LISTEN_FDNAMES, since 227).
func (l Listener) FDName() string {
	if l.Network == UDP {
		return cmp.Or(l.Name, DefaultDatagramName)
	}
	return cmp.Or(l.Name, DefaultStreamName)
}

// Address returns the value of ListenStream= or ListenDatagram=.
func (l Listener) Address() string {
	switch {
	case l.Network == Unix:
		return l.Path
	case !l.Host.IsValid():
		return strconv.Itoa(int(l.Port))
	}
	return netip.AddrPortFrom(l.Host, l.Port).String()
}

// String returns the form that [ParseListener] parses to the same Listener.
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

// ProgramPort returns the port that the program binds, or 0 if the program binds a Unix socket.
func (l Listener) ProgramPort() uint16 { return cmp.Or(l.Bind, l.Port) }

// URL returns the URL of a TCP listener for clients on the same machine, or "" for other listeners.
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

// The method Opened returns a text for the user with the addresses that the listener binds. The parameter all contains all
// listeners of the app.
func (l Listener) Opened(all []Listener) string {
	port, kind := strconv.Itoa(int(l.Port)), ""
	if l.Network == UDP {
		kind = "UDP "
	}
	where := ""
	switch {
	case l.Network == Unix:
		return l.Path
	case !l.Host.IsValid(), l.Host == netip.IPv6Unspecified() && !l.hasPair(all):
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

// hasPair reports whether l and one of the listeners in the parameter all are a pair (see the method pair).
func (l Listener) hasPair(all []Listener) bool { return slices.ContainsFunc(all, l.pair) }

// conflictsWith reports whether two listeners cannot be bound at the same time.
func (l Listener) conflictsWith(m Listener) bool {
	if l.Network != m.Network {
		return false
	}
	if l.Network == Unix {
		return l.Path == m.Path
	}
	return l.Port == m.Port && !l.pair(m) && (l.bindsAll() || m.bindsAll() || l.Host == m.Host)
}

// SharesPort reports whether two listeners have the same protocol and port, or the same path. The hosts of the listeners may
// differ.
func (l Listener) SharesPort(m Listener) bool {
	return l.Network == m.Network && l.Port == m.Port && l.Path == m.Path
}

// The method pair reports whether two listeners are 0.0.0.0 and [::] on one port. These two listeners become one socket per
// IP version (BindIPv6Only=ipv6-only), as in nginx's "listen 80; listen [::]:80;".
func (l Listener) pair(m Listener) bool {
	return l.Port == m.Port && l.Network == m.Network && l.Host.IsValid() && m.Host.IsValid() &&
		l.Host.IsUnspecified() && m.Host.IsUnspecified() && l.Host.Is4() != m.Host.Is4()
}

// bindsAll reports whether the listener binds all addresses. An unspecified IPv6 address includes IPv4 (the
// default of BindIPv6Only= is net.ipv6.bindv6only, which is 0).
func (l Listener) bindsAll() bool { return !l.Host.IsValid() || l.Host.IsUnspecified() }
