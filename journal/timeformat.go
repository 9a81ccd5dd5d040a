package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TimeFormat is a format for the time before each line. The zero value prints nothing.
type TimeFormat struct {
	pieces []piece
	utc    bool
}

// piece is a part of a format: a layout of package time, literal text, or a Unix time.
type piece struct {
	layout  string
	literal bool
	unix    int // number of decimals of a Unix time, plus one
}

// timeNames are the named time formats.
var timeNames = map[string]string{
	"iso":  "2006-01-02T15:04:05.000Z07:00",
	"time": "15:04:05.000",
	"date": "2006-01-02 15:04:05.000",
}

// The map strftime contains the layout for each conversion of date(1).
var strftime = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'z': "-0700", 'Z': "MST",
	'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05",
	'R': "15:04", 'D': "01/02/06",
	'L': "000", 'f': "000000",
}

// momentTokens contains the tokens of moment.js, which pm2 accepts, with their layouts. A longer token is before its
// own prefixes, so that the longest token matches.
var momentTokens = [][2]string{
	{"YYYY", "2006"}, {"YY", "06"}, {"MMMM", "January"}, {"MMM", "Jan"}, {"MM", "01"}, {"DD", "02"}, {"dddd", "Monday"}, {"ddd", "Mon"},
	{"HH", "15"}, {"hh", "03"}, {"mm", "04"}, {"ss", "05"}, {"SSSSSS", "000000"}, {"SSS", "000"}, {"ZZ", "-0700"},
	{"Z", "-07:00"}, {"A", "PM"}, {"a", "pm"},
}

// ParseTimeFormat parses the name of a format (iso, date, time, unix, utc), a format of date(1) such as "%H:%M:%S", or
// a format of pm2 such as "YYYY-MM-DD HH:mm:ss".
func ParseTimeFormat(s string) (TimeFormat, error) {
	if layout, ok := timeNames[s]; ok {
		return TimeFormat{pieces: []piece{{layout: layout}}}, nil
	}
	switch {
	case s == "utc":
		return TimeFormat{pieces: []piece{{layout: timeNames["iso"]}}, utc: true}, nil
	case s == "unix":
		return TimeFormat{pieces: []piece{{unix: 7}}}, nil
	case strings.Contains(s, "%"):
		return parseStrftime(s)
	}
	f := parseMoment(s)
	if slices.ContainsFunc(f.pieces, func(p piece) bool { return !p.literal }) {
		return f, nil
	}
	return f, fmt.Errorf("invalid time format %q (iso, date, time, unix, utc, or such as \"%%H:%%M\" or \"HH:mm\")", s)
}

func parseStrftime(s string) (TimeFormat, error) {
	var f TimeFormat
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			f.literal(s[i : i+1])
			continue
		}
		if i++; i == len(s) {
			return f, fmt.Errorf("invalid time format %q: %% at the end", s)
		}
		layout, ok := strftime[s[i]]
		switch {
		case ok:
			f.pieces = append(f.pieces, piece{layout: layout})
		case s[i] == 's':
			f.pieces = append(f.pieces, piece{unix: 1})
		case s[i] == '%':
			f.literal("%")
		default:
			return f, fmt.Errorf("invalid time format %q: unknown conversion %%%c", s, s[i])
		}
	}
	return f, nil
}

func parseMoment(s string) TimeFormat {
	var f TimeFormat
next:
	for len(s) > 0 {
		if text, rest, ok := strings.Cut(s[1:], "]"); ok && s[0] == '[' {
			f.literal(text)
			s = rest
			continue
		}
		for _, t := range momentTokens {
			if strings.HasPrefix(s, t[0]) {
				f.pieces = append(f.pieces, piece{layout: t[1]})
				s = s[len(t[0]):]
				continue next
			}
		}
		f.literal(s[:1])
		s = s[1:]
	}
	return f
}

func (f *TimeFormat) literal(s string) { f.pieces = append(f.pieces, piece{layout: s, literal: true}) }

// appendTime appends a time to dst.
func (f TimeFormat) appendTime(dst []byte, t time.Time) []byte {
	if f.utc {
		t = t.UTC()
	}
	for _, p := range f.pieces {
		switch {
		case p.literal:
			dst = append(dst, p.layout...)
		case p.unix > 0:
			dst = strconv.AppendInt(dst, t.Unix(), 10)
			if p.unix > 1 {
				dst = fmt.Appendf(dst, ".%06d", t.Nanosecond()/1000)
			}
		case strings.Trim(p.layout, "0") == "":
			// Package time supports fractions of a second only after a point or comma.
			digits := fmt.Sprintf("%06d", t.Nanosecond()/1000)
			dst = append(dst, digits[:len(p.layout)]...)
		default:
			dst = t.AppendFormat(dst, p.layout)
		}
	}
	return dst
}
