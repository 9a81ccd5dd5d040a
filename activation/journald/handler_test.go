package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// recorder is a sender that stores the entries.
type recorder struct {
	entries [][]byte
	err     error
}

func (r *recorder) send(b []byte) error {
	if r.err != nil {
		return r.err
	}
	r.entries = append(r.entries, bytes.Clone(b))
	return nil
}

// fields returns the fields of an entry, decoded as journald does it.
func fields(t testing.TB, entry []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	for len(entry) > 0 {
		line, rest, ok := bytes.Cut(entry, []byte("\n"))
		if !ok {
			t.Fatalf("%q does not end with a newline", entry)
		}
		name, value, text := strings.Cut(string(line), "=")
		if !text {
			n := binary.LittleEndian.Uint64(rest)
			value, rest = string(rest[8:8+n]), rest[8+n:]
			if rest[0] != '\n' {
				t.Fatalf("%q follows a value instead of a newline", rest[0])
			}
			rest = rest[1:]
		}
		if name == "" || len(name) > 64 || name[0] == '_' || name[0] >= '0' && name[0] <= '9' ||
			strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			t.Errorf("journald does not accept the name %q", name)
		}
		got[name] = value
		entry = rest
	}
	return got
}

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("***") }

func TestFields(t *testing.T) {
	r := &recorder{}
	log := slog.New(newHandler(&slog.HandlerOptions{Level: slog.LevelDebug}, r, slog.DiscardHandler))
	log.With("app", "x").WithGroup("http").With("method", "GET").Warn("two\nlines", "status", 404, slog.Group("", "inline", true),
		slog.Group("peer", "addr", "::1", slog.Group("empty")), "err", errors.New("bad\nnews"), "took", 1500*time.Millisecond,
		"at", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "key", secret("k"), "raw", []byte("\x00\xff"), slog.Attr{})
	want := map[string]string{
		"MESSAGE": "two\nlines", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "journald.test", "APP": "x",
		"HTTP_METHOD": "GET", "HTTP_STATUS": "404", "HTTP_INLINE": "true",
		"HTTP_PEER_ADDR": "::1", "HTTP_ERR": "bad\nnews", "HTTP_TOOK": "1.5s", "HTTP_AT": "2026-01-02T03:04:05.000000006Z",
		"HTTP_KEY": "***", "HTTP_RAW": "\x00\xff",
	}
	if got := fields(t, r.entries[0]); !maps.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	log.Debug("no source")
	if got := fields(t, r.entries[1]); got["PRIORITY"] != "7" || got["CODE_FILE"] != "" {
		t.Errorf("got %q, want PRIORITY=7 and no CODE_FILE", got)
	}
}

func TestSource(t *testing.T) {
	r := &recorder{}
	slog.New(newHandler(&slog.HandlerOptions{AddSource: true}, r, slog.DiscardHandler)).Info("here", "code_line", "mine")
	got := fields(t, r.entries[0])
	if !strings.HasSuffix(got["CODE_FILE"], "handler_test.go") || got["CODE_LINE"] == "" || got["X_CODE_LINE"] != "mine" ||
		!strings.HasSuffix(got["CODE_FUNC"], ".TestSource") {
		t.Errorf("got %q, want the source in CODE_FILE, CODE_LINE and CODE_FUNC, and X_CODE_LINE=mine", got)
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[string]string{
		"user": "USER", "userId": "USERID", "a.b-c": "A_B_C", "7up": "X_7UP", "_private": "X_PRIVATE", "": "X_",
		"é": "X_", "message": "X_MESSAGE", "Priority": "X_PRIORITY",
		"syslog_facility": "X_SYSLOG_FACILITY", "clusterctl_app": "X_CLUSTERCTL_APP", "message_id": "MESSAGE_ID",
		strings.Repeat("a", 70): strings.Repeat("A", 64),
	} {
		if got := fieldName(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestPriorities(t *testing.T) {
	for l, want := range map[slog.Level]string{-8: "7", slog.LevelDebug: "7", -1: "7", slog.LevelInfo: "6", 1: "6",
		2: "5", slog.LevelWarn: "4", slog.LevelError: "3", 12: "2", 99: "2"} {
		if got := priority(l); got != want {
			t.Errorf("level %d: %s, want %s", l, got, want)
		}
	}
	h := newHandler(nil, &recorder{}, slog.DiscardHandler)
	if h.Enabled(context.Background(), slog.LevelDebug) || !h.Enabled(context.Background(), slog.LevelInfo) {
		t.Error("the default level is not info")
	}
}

func TestReplace(t *testing.T) {
	r := &recorder{}
	var seen []string
	log := slog.New(newHandler(&slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		seen = append(seen, strings.Join(append(slices.Clone(groups), a.Key), "."))
		switch a.Key {
		case "drop":
			return slog.Attr{}
		case "old":
			return slog.String("new", "1")
		}
		return a
	}}, r, slog.DiscardHandler))
	log.WithGroup("g").Info("x", "drop", 1, "old", 2, slog.Group("h", "i", 3))
	got := fields(t, r.entries[0])
	if got["G_NEW"] != "1" || got["G_H_I"] != "3" || len(got) != 5 || strings.Join(seen, " ") != "g.drop g.old g.h.i" {
		t.Errorf("got the fields %q, and ReplaceAttr was called for %q; want G_NEW=1, G_H_I=3, and g.drop, g.old, g.h.i",
			got, seen)
	}
}

// TestFallback checks that a record that cannot be sent is written to stderr, with all attributes.
func TestFallback(t *testing.T) {
	var b bytes.Buffer
	h := newHandler(nil, &recorder{err: errors.New("no journal")}, slog.NewTextHandler(&b, nil))
	slog.New(h).With("a", 1).WithGroup("g").Info("lost", "b", 2)
	if !strings.Contains(b.String(), "msg=lost a=1 g.b=2") {
		t.Errorf("got %q, want msg=lost a=1 g.b=2", b.String())
	}
}

// TestRules runs the checks of testing/slogtest. slogtest needs groups, a time, and keys in lower case, which entries of
// the journal do not have. So timed adds the time, and nested converts the fields.
func TestRules(t *testing.T) {
	r := &recorder{}
	h := newHandler(nil, r, slog.DiscardHandler)
	err := slogtest.TestHandler(timedHandler{h, r}, func() []map[string]any {
		var all []map[string]any
		for _, e := range r.entries {
			all = append(all, nestGroups(fields(t, e)))
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

// timedHandler is a handler that adds the time of a record as a field.
type timedHandler struct {
	slog.Handler
	r *recorder
}

func (h timedHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return timedHandler{h.Handler.WithAttrs(a), h.r}
}
func (h timedHandler) WithGroup(name string) slog.Handler {
	return timedHandler{h.Handler.WithGroup(name), h.r}
}
func (h timedHandler) Handle(ctx context.Context, rec slog.Record) error {
	err := h.Handler.Handle(ctx, rec)
	if !rec.Time.IsZero() {
		last := len(h.r.entries) - 1
		h.r.entries[last] = appendField(h.r.entries[last], "TIME", rec.Time.String())
	}
	return err
}

// nestGroups converts G_H_I=1 to {"G": {"H": {"i": 1}}}: slogtest uses upper case for groups and lower case for
// keys.
func nestGroups(flat map[string]string) map[string]any {
	out := map[string]any{}
	for name, value := range flat {
		switch name {
		case "MESSAGE":
			out[slog.MessageKey] = value
			continue
		case "PRIORITY":
			out[slog.LevelKey] = value
			continue
		case "SYSLOG_IDENTIFIER":
			continue
		}
		at := out
		parts := strings.Split(name, "_")
		for _, group := range parts[:len(parts)-1] {
			inner, ok := at[group].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[group] = inner
			}
			at = inner
		}
		at[strings.ToLower(parts[len(parts)-1])] = value
	}
	return out
}

func FuzzFieldName(f *testing.F) {
	for _, s := range []string{"", "_", "a", "é", "message", "9"} {
		f.Add(s, "v\n")
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		r := &recorder{}
		slog.New(newHandler(nil, r, slog.DiscardHandler)).Info("m", slog.String(key, value))
		got := fields(t, r.entries[0])
		if key == "" && value == "" {
			return
		}
		if got["MESSAGE"] != "m" || got["PRIORITY"] != "6" || !slices.Contains(slices.Collect(maps.Values(got)), value) {
			t.Fatalf("%q=%q became %q", key, value, got)
		}
	})
}

func TestIdentity(t *testing.T) {
	for cgroup, want := range map[string]string{
		"0::/clusterctl.slice/clusterctl-shop.slice/shop@2.service\n":                   "shop 2",
		"0::/clusterctl.slice/clusterctl-my\\x2dshop.slice/my-shop@12.service/worker\n": "my-shop 12",
		"12:cpu:/\n1:name=systemd:/clusterctl.slice/clusterctl-a.slice/a@1.service\n" +
			"0::/clusterctl.slice/clusterctl-a.slice/a@1.service\n": "a 1",
		"0::/system.slice/ssh.service\n": "", "0::/clusterctl.slice/clusterctl-shop.slice/shop.service\n": "",
		"0::/user.slice/x@1.service\n": "", "": "", "junk": "",
	} {
		f := fields(t, identity(cgroup))
		if got := strings.TrimSpace(f["CLUSTERCTL_APP"] + " " + f["CLUSTERCTL_INSTANCE"]); got != want ||
			(f["CLUSTERCTL_SENDER"] == "worker") != (want != "") {
			t.Errorf("cgroup %q: got %q, want app and instance %q", cgroup, f, want)
		}
	}
}
