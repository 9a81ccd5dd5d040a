package journal

import (
	"bytes"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Formatter writes lines for people: "shop@3 | text". It keeps the prefix of each instance, so it belongs to one
// output.
type Formatter struct {
	// Raw is the message as it was written, without a prefix, and a newline; nothing is made harmless. It is for lines of
	// workers.
	Raw bool
	// Colour colours the prefix by instance and the text by its priority.
	Colour bool
	// Fields appends the fields that the program has added to its message.
	Fields bool
	// Time stands in front, in Zone.
	Time TimeFormat
	Zone *time.Location
	// Highlight gives the places in a text that are to be marked, as pairs of indices, in order.
	Highlight func(text []byte) [][]int
	// Width is the length of the longest label that is expected; a longer one makes it grow.
	Width int

	prefixes map[string]string
	text     []byte
}

// Sequences of ECMA-48 (SGR).
const (
	sgrReset   = "\x1b[0m"
	sgrDim     = "\x1b[2m"
	sgrError   = "\x1b[31m"
	sgrWarning = "\x1b[33m"
	sgrMark    = "\x1b[7m"
	sgrUnmark  = "\x1b[27m"
)

// palette are the colours of instances; red is for errors, and neighbours differ.
var palette = []string{"36", "32", "35", "34", "33", "96", "92", "95", "94", "93"}

// Append appends a line in this format, with its newline.
func (f *Formatter) Append(dst []byte, l *Line) []byte {
	message := l.Get("MESSAGE")
	if f.Raw {
		dst = append(dst, message...)
		if string(l.Get("_LINE_BREAK")) == "nul" {
			return append(dst, 0) // journald takes a NUL for the end of a line, as it was written
		}
		return append(dst, '\n')
	}
	head := f.head(l)
	text := f.body(l, message)
	for line := range bytes.SplitSeq(bytes.TrimRight(text, "\r\n"), []byte("\n")) {
		dst = append(dst, head...)
		line = bytes.TrimSuffix(line, []byte("\r"))
		dst = f.appendText(dst, l, line)
		dst = append(dst, '\n')
	}
	return dst
}

// head is the time and the prefix, the same in front of each line of a message.
func (f *Formatter) head(l *Line) []byte {
	head := f.text[:0]
	if !f.Time.empty() {
		zone := f.Zone
		if zone == nil {
			zone = time.UTC
		}
		head = f.styled(head, sgrDim, func(b []byte) []byte { return f.Time.append(b, l.Time().In(zone)) })
		head = append(head, ' ')
	}
	label := l.Label()
	prefix, ok := f.prefixes[label]
	if !ok || len(label) > f.Width {
		if f.prefixes == nil || len(label) > f.Width {
			f.prefixes = map[string]string{}
		}
		f.Width = max(f.Width, len(label))
		prefix = f.prefix(l, label)
		f.prefixes[label] = prefix
	}
	f.text = append(head, prefix...)
	return f.text
}

func (f *Formatter) prefix(l *Line, label string) string {
	text := label + strings.Repeat(" ", f.Width-len(label)) + " |"
	if f.Colour {
		h := fnv.New32a()
		_, _ = h.Write([]byte(l.App))
		text = "\x1b[" + palette[(int(h.Sum32()%uint32(len(palette)))+l.Instance)%len(palette)] + "m" + text + sgrReset
	}
	return text + " "
}

// body is the text behind the prefix.
func (f *Formatter) body(l *Line, message []byte) []byte {
	switch l.Source {
	case Systemd:
		return append([]byte("systemd: "), message...)
	case Journald:
		return []byte("journald: " + SuppressedText(l.Suppressed))
	}
	if !f.Fields {
		return message
	}
	text := bytes.Clone(message)
	for _, field := range l.own() {
		text = append(append(append(text, ' '), field.Name...), '=')
		if quoted(field.Value) {
			text = strconv.AppendQuote(text, string(field.Value))
		} else {
			text = append(text, field.Value...)
		}
	}
	if l.Cut {
		text = append(text, " (cut: a field is longer than "+strconv.Itoa(MaxField>>20)+" MiB)"...)
	}
	return text
}

// SuppressedText says how many lines are missing, and why.
func SuppressedText(n int) string {
	noun := " lines are missing here"
	if n == 1 {
		noun = " line is missing here"
	}
	return strconv.Itoa(n) + noun + ", suppressed by its rate limit (LogRateLimitBurst=)"
}

func quoted(value []byte) bool {
	return len(value) == 0 || bytes.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r >= 0x7f })
}

// appendText appends one line of a text, coloured and marked.
func (f *Formatter) appendText(dst []byte, l *Line, line []byte) []byte {
	style := ""
	switch p := l.Priority(); {
	case l.Source == Journald, p == 4:
		style = sgrWarning
	case l.Source == Systemd:
		style = sgrDim
	case p < 4:
		style = sgrError
	case p == 7:
		style = sgrDim
	}
	return f.styled(dst, style, func(b []byte) []byte {
		var marks [][]int
		if f.Highlight != nil && f.Colour {
			marks = f.Highlight(line)
		}
		at, coloured := 0, false
		write := func(part []byte) {
			var c bool
			b, c = appendSafe(b, part, f.Colour)
			coloured = coloured || c
		}
		for _, m := range marks {
			write(line[at:m[0]])
			b = append(b, sgrMark...)
			write(line[m[0]:m[1]])
			b = append(b, sgrUnmark...)
			at = m[1]
		}
		write(line[at:])
		if coloured && style == "" {
			b = append(b, sgrReset...)
		}
		return b
	})
}

func (f *Formatter) styled(dst []byte, style string, write func([]byte) []byte) []byte {
	if !f.Colour || style == "" {
		return write(dst)
	}
	return append(write(append(dst, style...)), sgrReset...)
}

// known are fields that systemd, journald, the units of an app or syslog(3) set, and not the program for its message.
var known = []string{
	"MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY", "SYSLOG_PID", "SYSLOG_RAW", "SYSLOG_TIMESTAMP",
	appField, instanceField, senderField, "UNIT", "USER_UNIT", "INVOCATION_ID", "TID",
}

// own are the fields that a worker has added; those of systemd's messages say nothing to the user of an app.
func (l *Line) own() []Field {
	var own []Field
	if l.Source != Worker {
		return nil
	}
	for _, f := range l.Fields {
		if f.Name != "" && f.Name[0] != '_' && !slices.Contains(known, f.Name) {
			own = append(own, f)
		}
	}
	return own
}
