package journald

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// appendAttr appends an attribute as a field, and a group as several fields.
func (h *handler) appendAttr(b []byte, groups []string, prefix string, a slog.Attr) []byte {
	a.Value = a.Value.Resolve()
	if h.opts.ReplaceAttr != nil && a.Value.Kind() != slog.KindGroup {
		a = h.opts.ReplaceAttr(groups, a)
		a.Value = a.Value.Resolve()
	}
	if a.Equal(slog.Attr{}) {
		return b
	}
	if a.Value.Kind() != slog.KindGroup {
		return appendField(b, fieldName(prefix+a.Key), text(a.Value))
	}
	if a.Key != "" {
		groups = append(slices.Clip(groups), a.Key)
		prefix += a.Key + "_"
	}
	for _, inner := range a.Value.Group() {
		b = h.appendAttr(b, groups, prefix, inner)
	}
	return b
}

// text returns the value as the text of a field.
func text(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		switch x := v.Any().(type) {
		case []byte:
			return string(x)
		case error:
			return x.Error()
		case fmt.Stringer:
			return fmt.Sprint(x)
		default:
			return fmt.Sprintf("%+v", x)
		}
	}
	return v.String()
}

// appendField appends one field in the encoding of journald (NATIVE_JOURNAL_PROTOCOL of systemd): NAME=VALUE and a newline.
// If the value contains a newline, the encoding is the name, a newline, the size of the value in eight bytes, the value and
// a newline.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	if !strings.Contains(value, "\n") {
		b = append(b, '=')
		b = append(b, value...)
		return append(b, '\n')
	}
	b = append(b, '\n')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	b = append(b, value...)
	return append(b, '\n')
}

// maxName is the length of the longest name that journald accepts (journal_field_valid).
const maxName = 64

// fieldName converts s to a name that journald accepts.
func fieldName(s string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
	// journald drops a field whose name begins with "_", because only journald itself may set such a field.
	if name == "" || name[0] == '_' || name[0] >= '0' && name[0] <= '9' || isReserved(name) {
		name = "X_" + strings.TrimLeft(name, "_")
	}
	return name[:min(len(name), maxName)]
}

// isReserved reports whether a name has a meaning to journald, systemd, syslog(3) or clusterctl
// (systemd.journal-fields(7)).
func isReserved(name string) bool {
	names := []string{"MESSAGE", "PRIORITY", "CODE_FILE", "CODE_LINE", "CODE_FUNC", "ERRNO", "INVOCATION_ID", "USER_INVOCATION_ID",
		"UNIT", "USER_UNIT", "TID", "N_DROPPED", "N_RESTARTS", "OBJECT_PID"}
	prefixes := []string{"SYSLOG_", "CLUSTERCTL_", "COREDUMP_", "OBJECT_"}
	return slices.Contains(names, name) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
