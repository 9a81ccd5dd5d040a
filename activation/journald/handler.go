package journald

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// NewHandler returns a handler that writes to the journal if stderr is connected to it, and as text to stderr otherwise.
// opts may be nil, and has the same meaning as for the handlers of log/slog. ReplaceAttr is not called for time, level,
// message and source, which have their own fields in the journal.
func NewHandler(opts *slog.HandlerOptions) slog.Handler {
	text := slog.NewTextHandler(os.Stderr, opts)
	if !Connected() {
		return text
	}
	s, err := newSocket(socketPath)
	if err != nil {
		return text
	}
	return newHandler(opts, s, text)
}

// sender sends an entry to journald.
type sender interface{ send(entry []byte) error }

// newHandler returns a handler that sends entries through s. If s returns an error, the handler passes the record to
// fallback.
func newHandler(opts *slog.HandlerOptions, s sender, fallback slog.Handler) *handler {
	h := &handler{sender: s, fallback: fallback}
	if opts != nil {
		h.opts = *opts
	}
	h.fields = appendField(nil, "SYSLOG_IDENTIFIER", filepath.Base(os.Args[0]))
	return h
}

// handler is immutable; WithAttrs and WithGroup return a copy.
type handler struct {
	opts     slog.HandlerOptions
	sender   sender
	fallback slog.Handler
	// groups are the names of the groups that WithGroup has opened. prefix consists of these names, and begins the name of
	// each later field.
	groups []string
	prefix string
	// fields are the encoded attributes of WithAttrs.
	fields []byte
}

// Enabled reports whether records of a level are logged.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	least := slog.LevelInfo
	if h.opts.Level != nil {
		least = h.opts.Level.Level()
	}
	return l >= least
}

// WithAttrs returns a handler that adds the attributes to all records.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.fields = slices.Clip(h.fields)
	for _, a := range attrs {
		c.fields = c.appendAttr(c.fields, h.groups, h.prefix, a)
	}
	c.fallback = h.fallback.WithAttrs(attrs)
	return &c
}

// WithGroup returns a handler that adds the name of the group to the names of later fields.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.groups = append(slices.Clip(h.groups), name)
	c.prefix = h.prefix + name + "_"
	c.fallback = h.fallback.WithGroup(name)
	return &c
}

// Handle sends one record.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	b := make([]byte, 0, 512)
	b = appendField(b, "MESSAGE", r.Message)
	b = appendField(b, "PRIORITY", priority(r.Level))
	if h.opts.AddSource && r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		b = appendField(b, "CODE_FILE", frame.File)
		b = appendField(b, "CODE_LINE", strconv.Itoa(frame.Line))
		b = appendField(b, "CODE_FUNC", frame.Function)
	}
	b = append(b, h.fields...)
	r.Attrs(func(a slog.Attr) bool {
		b = h.appendAttr(b, h.groups, h.prefix, a)
		return true
	})
	if err := h.sender.send(b); err != nil {
		// Callers of log/slog ignore the error of a handler, so the record is written to stderr, which is connected to the
		// same journal.
		return h.fallback.Handle(ctx, r)
	}
	return nil
}

// priority returns the priority of syslog(3) for the level l.
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError+4:
		return "2"
	case l >= slog.LevelError:
		return "3"
	case l >= slog.LevelWarn:
		return "4"
	case l >= slog.LevelInfo+2:
		return "5"
	case l >= slog.LevelInfo:
		return "6"
	}
	return "7"
}

// socketPath is the socket of journald. In a unit with LogNamespace=, the socket of the namespace's journald is mounted at
// this path.
const socketPath = "/run/systemd/journal/socket"

// Connected reports whether stderr is connected to the journal.
func Connected() bool { return streamIs(os.Getenv("JOURNAL_STREAM"), os.Stderr) }

// identity returns fields with the app and the instance that the text of /proc/self/cgroup names, or nil if the process
// is not an instance of an app. Each entry has these fields, because journald cannot find the unit of a process that ends
// before journald has read its message.
func identity(cgroup string) []byte {
	for line := range strings.Lines(cgroup) {
		// The line is "0::/path", or "1:name=systemd:/path" on a machine with cgroup v1.
		parts := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(parts) != 3 || parts[1] != "" && parts[1] != "name=systemd" {
			continue
		}
		_, inside, ok := strings.Cut(parts[2], "/clusterctl-")
		if !ok {
			continue
		}
		for part := range strings.SplitSeq(inside, "/") {
			app, instance, ok := strings.Cut(strings.TrimSuffix(part, ".service"), "@")
			if !ok || !strings.HasSuffix(part, ".service") {
				continue
			}
			b := appendField(nil, "CLUSTERCTL_APP", app)
			b = appendField(b, "CLUSTERCTL_INSTANCE", instance)
			return appendField(b, "CLUSTERCTL_SENDER", "worker")
		}
	}
	return nil
}
