package probe

import (
	"strconv"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/sockopt"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// Bind is one socket that the program bound.
type Bind struct {
	Kind      target.Kind
	Addr      target.Addr
	Listening bool // listen(2) was called; never for datagrams
	Backlog   int  // of listen(2)
	// NonBlocking is the state of O_NONBLOCK at the end of the probe.
	NonBlocking bool
	// Epoll says that an epoll instance of the program watches the socket.
	Epoll bool
	// BlockingAccept says that the program called accept on the blocking socket
	// with nobody there: it waits in accept.
	BlockingAccept bool
	// Mode is what the umask of the program gives the file of a Unix socket; ModeKnown reports whether the umask could be
	// read. A chmod(2) after the bind replaces it.
	Mode      uint32
	ModeKnown bool
	// Private says that only processes of the program itself can find the Unix socket: its name is of one process, or its
	// directory is one that every app has for itself.
	Private bool
	// V6Only is IPV6_V6ONLY, where it could be asked for (V6OnlyKnown).
	V6Only, V6OnlyKnown bool
	// Multicast says that the socket joined a multicast group, or is bound to the address of one. A membership belongs to the
	// open socket, so a second process cannot join the group on a shared one.
	Multicast bool
	// Options are the ones that the program set before bind, where the prober could read them.
	Options []sockopt.Value
}

// Report is what a probe has found.
type Report struct {
	Binds    []Bind
	Exited   bool // the program ended by itself
	Status   string
	TimedOut bool // the time was over before the program had settled
	// Idle: the program listens on nothing, and was idle for the time of Config.Idle.
	Idle bool
	// Left are the names of the processes that the program has left behind when it ended.
	Left []string
	Took time.Duration // until then
}

// NonBlocking is what NonBlocking= of the units should be: no only when the
// program leaves every listening socket blocking. Without sockets it is yes.
func (r *Report) NonBlocking() bool {
	blocking := 0
	for _, b := range r.Binds {
		if b.Listening && b.NonBlocking {
			return true
		}
		if b.Listening {
			blocking++
		}
	}
	return blocking == 0
}

// HoldAccept is whether "run --accept hold" is needed for a drain that loses
// nothing: some listening socket is in no epoll instance.
func (r *Report) HoldAccept() bool {
	for _, b := range r.Binds {
		if b.Listening && !b.Epoll {
			return true
		}
	}
	return false
}

// JSON is the report on one line. The schema is versioned; keys are only added.
func (r *Report) JSON() []byte {
	b := []byte(`{"version":1,"binds":[`)
	for i := range r.Binds {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.Binds[i].json(b)
	}
	b = append(b, `],"exited":`...)
	b = strconv.AppendBool(b, r.Exited)
	if r.Exited {
		b = appendString(append(b, `,"status":`...), r.Status)
		b = r.leftJSON(b)
	}
	b = strconv.AppendBool(append(b, `,"idle":`...), r.Idle)
	b = strconv.AppendInt(append(b, `,"took_ms":`...), r.Took.Milliseconds(), 10)
	b = strconv.AppendBool(append(b, `,"timed_out":`...), r.TimedOut)
	b = strconv.AppendBool(append(b, `,"non_blocking":`...), r.NonBlocking())
	b = strconv.AppendBool(append(b, `,"hold_accept":`...), r.HoldAccept())
	return append(b, "}\n"...)
}

func (r *Report) leftJSON(b []byte) []byte {
	b = append(b, `,"left":[`...)
	for i, name := range r.Left {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
	}
	return append(b, ']')
}

func (x *Bind) json(b []byte) []byte {
	family, typ := x.words()
	b = appendString(append(b, `{"family":`...), family)
	b = appendString(append(b, `,"type":`...), typ)
	b = appendString(append(b, `,"address":`...), x.Addr.Host())
	if x.Addr.Family != unix.AF_UNIX {
		b = strconv.AppendUint(append(b, `,"port":`...), uint64(x.Addr.Port), 10)
	}
	if x.ModeKnown {
		b = appendString(append(b, `,"mode":`...), "0"+strconv.FormatUint(uint64(x.Mode), 8))
	}
	if x.Private {
		b = append(b, `,"private":true`...)
	}
	if x.V6OnlyKnown {
		b = strconv.AppendBool(append(b, `,"v6only":`...), x.V6Only)
	}
	b = strconv.AppendBool(append(b, `,"listening":`...), x.Listening)
	if x.Listening {
		b = strconv.AppendInt(append(b, `,"backlog":`...), int64(x.Backlog), 10)
		b = strconv.AppendBool(append(b, `,"nonblocking":`...), x.NonBlocking)
		b = strconv.AppendBool(append(b, `,"epoll":`...), x.Epoll)
		b = strconv.AppendBool(append(b, `,"blocking_accept":`...), x.BlockingAccept)
	}
	if x.Multicast {
		b = append(b, `,"multicast":true`...)
	}
	return append(x.options(b), '}')
}

func (x *Bind) options(b []byte) []byte {
	for i, o := range x.Options {
		if i == 0 {
			b = append(b, `,"options":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), o.Name)
		if o.Text != "" {
			b = appendString(append(b, `,"text":`...), o.Text)
		} else {
			b = strconv.AppendInt(append(b, `,"number":`...), o.Number, 10)
		}
		b = append(b, '}')
	}
	if len(x.Options) > 0 {
		b = append(b, ']')
	}
	return b
}

func (x *Bind) words() (family, typ string) {
	switch x.Kind {
	case target.TCP4:
		return "inet", "stream"
	case target.TCP6:
		return "inet6", "stream"
	case target.UDP4:
		return "inet", "dgram"
	case target.UDP6:
		return "inet6", "dgram"
	case target.UnixStream:
		return "unix", "stream"
	}
	return "unix", "dgram"
}

// appendString appends a JSON string (RFC 8259). encoding/json would be a quarter
// of the shim.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r) // a stray byte becomes U+FFFD
		}
	}
	return append(b, '"')
}
