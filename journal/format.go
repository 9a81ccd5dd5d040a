package journal

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Formatter formats lines for people: "shop@3 | text". It caches the prefix of each instance, so use one Formatter for
// all lines of an output.
type Formatter struct {
	// If Raw is true, Append appends only the bytes of the message and a newline, without a prefix and without escapes.
	// Set Raw only for lines of workers.
	Raw bool
	// If Colour is true, the colour of the prefix depends on the instance, and the colour of the text on the priority.
	Colour bool
	// If Fields is true, Append also appends the fields that the program has added to its message, as NAME=value.
	Fields bool
	// Time is the format of the time before the prefix. Zone is the time zone of this time; nil means UTC.
	Time TimeFormat
	Zone *time.Location
	// Highlight returns the parts of a text to highlight, as pairs of a start and an end index, in order.
	Highlight func(text []byte) [][]int
	// Width is the minimum width of the labels. Append increases Width when a label is longer.
	Width int

	prefixes map[string]string
	text     []byte
}

// Escape sequences (SGR of ECMA-48).
const (
	sgrReset   = "\x1b[0m"
	sgrDim     = "\x1b[2m"
	sgrError   = "\x1b[31m"
	sgrWarning = "\x1b[33m"
	sgrMark    = "\x1b[7m"
	sgrUnmark  = "\x1b[27m"
)

// palette contains the SGR codes of the colours of instances. Red is missing, because it is the colour of errors.
// Consecutive colours are easy to distinguish.
var palette = []string{"36", "32", "35", "34", "33", "96", "92", "95", "94", "93"}

// Append appends a line and a newline to dst.
func (f *Formatter) Append(dst []byte, l *Line) []byte {
	message := l.Get("MESSAGE")
	if f.Raw {
		dst = append(dst, message...)
		if string(l.Get("_LINE_BREAK")) == "nul" {
			return append(dst, 0) // the worker ended the line with a NUL, which journald accepts
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

// The method head returns the time and the prefix, which precede each line of a message.
func (f *Formatter) head(l *Line) []byte {
	head := f.text[:0]
	if len(f.Time.pieces) > 0 {
		zone := f.Zone
		if zone == nil {
			zone = time.UTC
		}
		head = f.appendStyled(head, sgrDim, func(b []byte) []byte { return f.Time.appendTime(b, l.Time().In(zone)) })
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

// body returns the text after the prefix.
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
	for _, field := range l.addedFields() {
		text = append(append(append(text, ' '), field.Name...), '=')
		if needsQuotes(field.Value) {
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

// SuppressedText returns a sentence for n suppressed lines, with the reason.
func SuppressedText(n int) string {
	noun := "lines are"
	if n == 1 {
		noun = "line is"
	}
	return fmt.Sprintf("%d %s missing here, suppressed by its rate limit (LogRateLimitBurst=)", n, noun)
}

func needsQuotes(value []byte) bool {
	return len(value) == 0 || bytes.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r >= 0x7f })
}

// appendText appends one line of a message, with the colour of its priority and with highlights.
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
	return f.appendStyled(dst, style, func(b []byte) []byte {
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

func (f *Formatter) appendStyled(dst []byte, style string, write func([]byte) []byte) []byte {
	if !f.Colour || style == "" {
		return write(dst)
	}
	return append(write(append(dst, style...)), sgrReset...)
}

// standardFields are the fields that systemd, journald, the units of an app or syslog(3) set. A program adds all other
// fields.
var standardFields = []string{
	"MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY", "SYSLOG_PID", "SYSLOG_RAW", "SYSLOG_TIMESTAMP",
	appField, instanceField, senderField, "UNIT", "USER_UNIT", "INVOCATION_ID", "TID",
}

// addedFields returns the fields that a worker has added. For messages of systemd and journald, it returns nil.
func (l *Line) addedFields() []Field {
	var added []Field
	if l.Source != Worker {
		return nil
	}
	for _, f := range l.Fields {
		if f.Name != "" && f.Name[0] != '_' && !slices.Contains(standardFields, f.Name) {
			added = append(added, f)
		}
	}
	return added
}
