package contract

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// Report is the result of a probe: the JSON that "clusterctl-shim probe" writes. Later versions only add keys.
type Report struct {
	Version int         `json:"version"` // 1
	Binds   []ProbeBind `json:"binds"`
	// Exited reports whether the program ended by itself. Status is then the exit status of the program.
	Exited bool `json:"exited"`
	Status Exit `json:"status"`
	// Left holds the names of the processes that still ran after the program had ended.
	Left []string `json:"left"`
	// Idle reports whether the probe ended because the program did not listen and was idle for the time of --idle.
	Idle bool `json:"idle"`
	// TookMS is the duration of the probe in milliseconds, without the time to stop the program.
	TookMS int64 `json:"took_ms"`
	// TimedOut reports whether the time limit ended the probe while the program was still starting.
	TimedOut bool `json:"timed_out"`
	// NonBlocking is the value for NonBlocking= of the units: false only if every listening socket of the program is
	// blocking.
	NonBlocking bool `json:"non_blocking"`
	// HoldAccept reports whether the unit needs "run --accept hold" for a drain that does not lose connections, because a
	// listening socket is not in an epoll instance.
	HoldAccept bool `json:"hold_accept"`
}

// ProbeBind is one socket that the program bound.
type ProbeBind struct {
	Family  string `json:"family"` // inet, inet6 or unix
	Type    string `json:"type"`   // stream or dgram
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	// Mode is the mode of the file of a Unix socket in octal digits, as in "0755": from chmod(2) after the bind, or from
	// the umask. Mode is empty if the umask could not be read.
	Mode string `json:"mode"`
	// Private reports whether only processes of the program can find the Unix socket: its name contains a process id, or
	// its directory is private to the app, like /tmp.
	Private bool `json:"private"`
	// V6Only is IPV6_V6ONLY, or false if it could not be read.
	V6Only bool `json:"v6only"`
	// Listening reports whether listen(2) was called; Listening is false for datagram sockets.
	Listening bool `json:"listening"`
	Backlog   int  `json:"backlog"` // argument of listen(2)
	// NonBlocking is the state of O_NONBLOCK at the end of the probe.
	NonBlocking bool `json:"nonblocking"`
	// Epoll reports whether an epoll instance of the program watches the socket.
	Epoll bool `json:"epoll"`
	// BlockingAccept reports whether the program called accept(2) on the blocking socket while no connection waited.
	BlockingAccept bool `json:"blocking_accept"`
	// Multicast reports whether the socket joined a multicast group, or is bound to the address of a group. A membership
	// belongs to the socket, so a second process cannot join the group on a shared socket.
	Multicast bool `json:"multicast"`
	// Options are the socket options that the program set before bind, if the prober could read them.
	Options []SocketOption `json:"options"`
}

// SocketOption is a socket option with a value.
type SocketOption struct {
	Name   string `json:"name"`
	Number int64  `json:"number"` // value of the option if it is an integer
	Text   string `json:"text"`   // value of the option TCP_CONGESTION
}

// JSON returns the report on one line. JSON does not use encoding/json, which would make the shim 0.2 MB and each notifier
// 20 KB larger.
func (r Report) JSON() []byte { return append(appendJSON(nil, reflect.ValueOf(r)), '\n') }

// appendJSON appends a value as JSON. appendJSON supports only the types in a report.
func appendJSON(b []byte, v reflect.Value) []byte {
	if e, ok := v.Interface().(Exit); ok {
		return appendString(b, e.String())
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Uint16:
		return strconv.AppendUint(b, v.Uint(), 10)
	case reflect.String:
		return appendString(b, v.String())
	case reflect.Slice:
		b = append(b, '[')
		for i := range v.Len() {
			b = append(appendJSON(b, v.Index(i)), ',')
		}
		return append(bytes.TrimSuffix(b, []byte(",")), ']')
	}
	b = append(b, '{')
	for i := range v.NumField() {
		b = append(appendString(b, v.Type().Field(i).Tag.Get("json")), ':')
		b = append(appendJSON(b, v.Field(i)), ',')
	}
	return append(bytes.TrimSuffix(b, []byte(",")), '}')
}

// appendString appends a JSON string (RFC 8259).
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = fmt.Appendf(b, "\\u%04x", r)
		default:
			b = utf8.AppendRune(b, r) // an invalid byte becomes U+FFFD
		}
	}
	return append(b, '"')
}
