package units

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// SocketOption is a directive of a socket unit that sets an option of a listener, such as KeepAlive=yes. Connections inherit
// the options of their listener.
type SocketOption struct {
	// Listener is the name of the listener (its FDName). Empty means all listeners to which the key applies.
	Listener string
	// Key is a directive of systemd.socket(5), and Value is its value in the syntax of the unit.
	Key, Value string
}

// socketKey is a directive that a [SocketOption] may set.
type socketKey struct {
	key    string
	option string // the name of the option in socket(7), tcp(7) and ip(7)
	check  func(value string) bool
	// The field networks contains the kinds of listeners to which the directive applies.
	networks []Network
	trusted  bool // a program needs a capability to set the option
}

// maxSocketBuffer is the maximum of ReceiveBuffer= and SendBuffer=. PID 1 may set larger buffers than net.core.rmem_max.
const maxSocketBuffer = 64 << 20

// socketKeys returns all supported directives. systemd 247 supports all these directives.
func socketKeys() []socketKey {
	inet, streams, all := []Network{TCP, UDP}, []Network{TCP}, []Network{TCP, UDP, Unix}
	yes := func(v string) bool { return v == "yes" || v == "no" }
	upTo := func(most int) func(string) bool {
		return func(v string) bool {
			n, err := strconv.Atoi(v)
			return err == nil && n >= 0 && n <= most && strconv.Itoa(n) == v
		}
	}
	const seconds = 1 << 20
	return []socketKey{
		{"NoDelay", "TCP_NODELAY", yes, streams, false},
		{"KeepAlive", "SO_KEEPALIVE", yes, streams, false},
		{"KeepAliveTimeSec", "TCP_KEEPIDLE", upTo(seconds), streams, false},
		{"KeepAliveIntervalSec", "TCP_KEEPINTVL", upTo(seconds), streams, false},
		{"KeepAliveProbes", "TCP_KEEPCNT", upTo(127), streams, false},
		{"DeferAcceptSec", "TCP_DEFER_ACCEPT", upTo(seconds), streams, false},
		{"TCPCongestion", "TCP_CONGESTION", func(v string) bool {
			return v != "" && len(v) < 16 && strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
		}, streams, true},
		{"ReceiveBuffer", "SO_RCVBUF", upTo(maxSocketBuffer), all, false},
		{"SendBuffer", "SO_SNDBUF", upTo(maxSocketBuffer), all, false},
		{"IPTOS", "IP_TOS", upTo(255), inet, false},
		{"IPTTL", "IP_TTL", upTo(255), inet, false},
		{"Priority", "SO_PRIORITY", upTo(1<<31 - 1), all, true},
		{"Mark", "SO_MARK", upTo(1<<31 - 1), inet, true},
		{"FreeBind", "IP_FREEBIND", yes, inet, false},
		{"Transparent", "IP_TRANSPARENT", yes, inet, true},
		{"Broadcast", "SO_BROADCAST", yes, []Network{UDP}, false},
		{"PassCredentials", "SO_PASSCRED", yes, []Network{Unix}, false},
	}
}

func findSocketKey(key string) (socketKey, bool) {
	for _, k := range socketKeys() {
		if k.key == key {
			return k, true
		}
	}
	return socketKey{}, false
}

// ProgramOption returns the directive for an option that a program set on its socket. The parameter option is the name of
// the option in socket(7), and the parameter number or text is its value. The result ok is false if systemd has no directive
// for the option, or if the directive is the default (NoDelay=yes).
func ProgramOption(option string, number int64, text string) (o SocketOption, ok bool) {
	for _, k := range socketKeys() {
		if k.option != option {
			continue
		}
		o = SocketOption{Key: k.key, Value: text}
		switch {
		case text != "":
		case !k.check("yes"):
			o.Value = strconv.FormatInt(number, 10)
		case number != 0:
			o.Value = "yes"
		default:
			o.Value = "no"
		}
		return o, k.check(o.Value) && k.key != "NoDelay"
	}
	return SocketOption{}, false
}

// ParseSocketOption parses [LISTENER:]KEY=VALUE.
func ParseSocketOption(s string) (SocketOption, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return SocketOption{}, fieldErrorf("socket-options", "use KEY=VALUE of systemd.socket(5), such as KeepAlive=yes",
			"%q has no value", s)
	}
	o := SocketOption{Key: key, Value: value}
	if name, after, named := strings.Cut(key, ":"); named {
		o.Listener, o.Key = name, after
	}
	if _, known := findSocketKey(o.Key); !known {
		var keys []string
		for _, k := range socketKeys() {
			keys = append(keys, k.key)
		}
		return SocketOption{}, fieldErrorf("socket-options", "use one of "+strings.Join(keys, " "), "unknown key %q", o.Key)
	}
	return o, nil
}

// String returns the form that [ParseSocketOption] parses to the same option.
func (o SocketOption) String() string {
	s := o.Key + "=" + o.Value
	if o.Listener != "" {
		s = o.Listener + ":" + s
	}
	return s
}

// The method Trusted reports whether only a program with a capability can set the option. Workers do not have this
// capability.
func (o SocketOption) Trusted() bool {
	k, ok := findSocketKey(o.Key)
	return !ok || k.trusted
}

// The method Fits reports whether the option applies to the listener.
func (o SocketOption) Fits(l Listener) bool {
	k, ok := findSocketKey(o.Key)
	return ok && (o.Listener == "" || o.Listener == l.FDName()) && slices.Contains(k.networks, l.Network)
}

func (a App) validateSocketOptions(add func(error)) {
	for i, o := range a.SocketOptions {
		add := func(err error) { add(entry(err, i)) }
		reparsed, err := ParseSocketOption(o.String())
		k, _ := findSocketKey(o.Key)
		switch {
		case err != nil:
			add(err)
		case reparsed != o || !k.check(o.Value):
			add(fieldErrorf("socket-options", "", "%q has an invalid value", o))
		case !slices.ContainsFunc(a.Listen, o.Fits):
			add(fieldErrorf("socket-options", "", "%q does not apply to any listener", o))
		case slices.ContainsFunc(a.Listen, func(l Listener) bool {
			return o.Fits(l) && slices.ContainsFunc(a.SocketOptions[:i], func(p SocketOption) bool { return p.Key == o.Key && p.Fits(l) })
		}):
			add(fieldErrorf("socket-options", "", "%q is given twice", o.Key))
		}
	}
}

// The method options adds the options of listener l to the unit.
func (v *socketView) options(a App, l Listener) {
	// PID 1 sets the options of a unit on all its sockets, and logs a warning for each socket that does not support an
	// option.
	mixed := slices.ContainsFunc(a.Listen, func(o Listener) bool { return o.FDName() == l.FDName() && o.Network != TCP })
	if !mixed && v.NoDelay == "" {
		v.NoDelay = "yes"
	}
	for _, o := range a.SocketOptions {
		switch line := fixed(fmt.Sprintf("%s=%s", o.Key, o.Value)); {
		case !o.Fits(l) || slices.Contains(v.Options, line):
		case o.Key == "NoDelay":
			v.NoDelay = fixed(o.Value)
		case o.Key == "FreeBind":
			v.FreeBind = fixed(o.Value)
		default:
			v.Options = append(v.Options, line)
		}
	}
}
