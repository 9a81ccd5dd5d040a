package journald

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
)

// NewHandler writes to the journal if stderr goes there, else as text to stderr. The options are those of the handlers of
// log/slog, and may be nil; ReplaceAttr sees attributes, but not time, level, message and source, which have fields of
// their own here.
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

// sender sends an entry.
type sender interface{ send(entry []byte) error }

// newHandler writes through s, and what s does not take to otherwise.
func newHandler(opts *slog.HandlerOptions, s sender, otherwise slog.Handler) *handler {
	h := &handler{sender: s, otherwise: otherwise}
	if opts != nil {
		h.opts = *opts
	}
	h.fields = appendField(nil, "SYSLOG_IDENTIFIER", filepath.Base(os.Args[0]))
	return h
}

// handler is immutable; WithAttrs and WithGroup make another.
type handler struct {
	opts      slog.HandlerOptions
	sender    sender
	otherwise slog.Handler
	// groups are the open groups, prefix their names in front of a field.
	groups []string
	prefix string
	// fields are those of WithAttrs, encoded.
	fields []byte
}

// Enabled says whether a level is wanted.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	least := slog.LevelInfo
	if h.opts.Level != nil {
		least = h.opts.Level.Level()
	}
	return l >= least
}

// WithAttrs adds fields to all records.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.fields = slices.Clip(h.fields)
	for _, a := range attrs {
		c.fields = c.appendAttr(c.fields, h.groups, h.prefix, a)
	}
	c.otherwise = h.otherwise.WithAttrs(attrs)
	return &c
}

// WithGroup puts a name in front of the fields that follow.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.groups = append(slices.Clip(h.groups), name)
	c.prefix = h.prefix + name + "_"
	c.otherwise = h.otherwise.WithGroup(name)
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
		// Nobody looks at the error of a handler. stderr is another way to the same journal.
		return h.otherwise.Handle(ctx, r)
	}
	return nil
}

// priority is that of syslog(3).
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
