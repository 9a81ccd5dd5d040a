package journal

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// AppendJSON appends a line as one JSON object and a newline. The keys have the order of the schema. If the message is
// not UTF-8, "message" contains replacement characters, and "messageBase64" contains all bytes. If the parameter fields
// is true, the key "fields" contains the fields that the program has added.
func AppendJSON(dst []byte, l *Line, fields bool) []byte {
	dst = append(dst, `{"time":"`...)
	dst = l.Time().UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = appendString(append(dst, `","app":`...), []byte(l.App))
	if l.Instance > 0 {
		dst = strconv.AppendInt(append(dst, `,"instance":`...), int64(l.Instance), 10)
	}
	dst = append(dst, `,"source":"`...)
	dst = append(dst, l.Source.String()...)
	dst = strconv.AppendInt(append(dst, `","priority":`...), int64(l.Priority()), 10)
	if pid, err := strconv.Atoi(string(l.Get("_PID"))); err == nil && l.Source == Worker {
		dst = strconv.AppendInt(append(dst, `,"pid":`...), int64(pid), 10)
	}
	message := l.Get("MESSAGE")
	dst = appendString(append(dst, `,"message":`...), message)
	if !utf8.Valid(message) {
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"messageBase64":"`...), message)
		dst = append(dst, '"')
	}
	if l.Source == Journald {
		dst = strconv.AppendInt(append(dst, `,"suppressed":`...), int64(l.Suppressed), 10)
	}
	if l.Cut {
		dst = append(dst, `,"cut":true`...)
	}
	if fields {
		dst = appendFields(append(dst, `,"fields":{`...), l.addedFields())
		dst = append(dst, '}')
	}
	dst = appendString(append(dst, `,"cursor":`...), l.Cursor())
	return append(dst, "}\n"...)
}

// appendFields appends the members of an object, sorted by field name. Each value is a list, because a field may
// occur more than once.
func appendFields(dst []byte, fields []Field) []byte {
	slices.SortStableFunc(fields, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	for i, f := range fields {
		switch {
		case i > 0 && fields[i-1].Name == f.Name:
			dst = append(dst, ',')
		case i > 0:
			dst = append(dst, `],`...)
			fallthrough
		default:
			dst = append(appendString(dst, []byte(f.Name)), `:[`...)
		}
		dst = appendString(dst, f.Value)
	}
	if len(fields) > 0 {
		dst = append(dst, ']')
	}
	return dst
}

// appendString appends a JSON string. For speed, it copies consecutive ordinary characters together.
func appendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\' {
			i++
		}
		if dst = append(dst, s[start:i]...); i == len(s) {
			break
		}
		r, n := utf8.DecodeRune(s[i:])
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < 0xa0 || r == utf8.RuneError || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r):
			// JSON allows some of these characters without an escape, but they could change the terminal.
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return append(dst, '"')
}
