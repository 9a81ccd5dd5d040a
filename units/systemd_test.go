package units_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file parses unit files as PID 1 does. The code follows the source of systemd and does not use quote.go, so that the
// tests can find errors in quote.go. quote_lab_test.go tests with systemd itself.

// whitespace contains the characters that separate words, and that systemd trims (basic/string-util.h, WHITESPACE).
const whitespace = " \t\n\r"

// longLine is the maximum length of a line. systemd refuses a file with a longer line (basic/fileio.h, LONG_LINE_MAX).
const longLine = 1 << 20

// The type directive is one Key=Value of a unit file.
type directive struct{ section, key, value string }

// parseUnit parses a unit file (shared/conf-parser.c, config_parse). A continuation line is an error, because Render does
// not write continuation lines.
func parseUnit(data []byte) ([]directive, error) {
	var out []directive
	section := ""
	for i, line := range bytes.FieldsFunc(append(data, '\n'), func(r rune) bool { return r == '\n' || r == '\r' || r == 0 }) {
		where := func(why string) error { return fmt.Errorf("line %d, %.80q: %s", i, line, why) }
		if len(line) > longLine {
			return nil, where("is longer than systemd permits")
		}
		text := strings.Trim(string(line), whitespace)
		if text == "" || text[0] == '#' || text[0] == ';' {
			if strings.HasSuffix(text, `\`) {
				return nil, where("is a comment that systemd before 254 continues on the next line")
			}
			continue
		}
		if !systemdUTF8(text) {
			return nil, where("is not valid UTF-8 for systemd")
		}
		if trailing := len(text) - len(strings.TrimRight(text, `\`)); trailing%2 == 1 {
			return nil, where("is continued")
		}
		if text[0] == '[' {
			if text[len(text)-1] != ']' {
				return nil, where("is an unclosed section")
			}
			section = text[1 : len(text)-1]
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok || section == "" {
			return nil, where("is neither a section nor an assignment")
		}
		out = append(out, directive{section, strings.Trim(key, whitespace), strings.Trim(value, whitespace)})
	}
	return out, nil
}

// systemdUTF8 reports whether a string is valid UTF-8 without the code points that basic/utf8.c refuses (unichar_is_valid).
func systemdUTF8(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe {
			return false
		}
	}
	return true
}

// extractWord removes the first word from *s and returns the word (basic/extract-word.c with EXTRACT_UNQUOTE). If cunescape
// is true, it also undoes C escapes (EXTRACT_CUNESCAPE). If cunescape is false, a backslash only escapes the next character.
func extractWord(s *string, cunescape bool) (word string, ok bool, err error) {
	rest := strings.TrimLeft(*s, whitespace)
	if rest == "" {
		*s = ""
		return "", false, nil
	}
	var b strings.Builder
	var quote byte
	for i := 0; i < len(rest); {
		switch c := rest[i]; {
		case c == '\\':
			if i+1 == len(rest) {
				return "", false, errors.New("ends in a backslash")
			}
			if !cunescape {
				b.WriteByte(rest[i+1])
				i += 2
				continue
			}
			n, err := unescape(&b, rest[i+1:])
			if err != nil {
				return "", false, err
			}
			i += 1 + n
		case quote != 0 && c == quote:
			quote = 0
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
			i++
		case quote == 0 && strings.IndexByte(whitespace, c) >= 0:
			*s = strings.TrimLeft(rest[i:], whitespace)
			return b.String(), true, nil
		default:
			b.WriteByte(c)
			i++
		}
	}
	if quote != 0 {
		return "", false, errors.New("has an unbalanced quote")
	}
	*s = ""
	return b.String(), true, nil
}

// The function unescape appends the character of the C escape at the beginning of s (basic/escape.c, cunescape_one), and
// returns the length of the escape.
func unescape(b *strings.Builder, s string) (int, error) {
	const letters, values = `abfnrtv\"'s`, "\a\b\f\n\r\t\v\\\"' "
	if i := strings.IndexByte(letters, s[0]); i >= 0 {
		b.WriteByte(values[i])
		return 1, nil
	}
	from, digits, base := 1, 0, 16
	switch c := s[0]; {
	case c == 'x':
		digits = 2
	case c == 'u':
		digits = 4
	case c == 'U':
		digits = 8
	case c >= '0' && c <= '7':
		from, digits, base = 0, 3, 8
	default:
		return 0, fmt.Errorf("has the unknown escape %q", s[:1])
	}
	if len(s) < from+digits {
		return 0, errors.New("has a short escape")
	}
	n, err := strconv.ParseUint(s[from:from+digits], base, 32)
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, errors.New("has an escaped NUL")
	case s[0] == 'u' || s[0] == 'U':
		b.WriteRune(rune(n))
	case n > 255:
		return 0, errors.New("has an octal escape above 255")
	default:
		b.WriteByte(byte(n))
	}
	return from + digits, nil
}

// The function specifiers resolves "%%" and "%i". Render does not use other specifiers (shared/specifier.c).
func specifiers(s, instance string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch {
		case i < len(s) && s[i] == '%':
			b.WriteByte('%')
		case i < len(s) && s[i] == 'i':
			b.WriteString(instance)
		default:
			return "", fmt.Errorf("%.80q has an unescaped %%", s)
		}
	}
	return b.String(), nil
}

// splitValue splits a value into words, and resolves the specifiers in each word.
func splitValue(s string, cunescape bool, instance string) ([]string, error) {
	var out []string
	for {
		w, ok, err := extractWord(&s, cunescape)
		if err != nil || !ok {
			return out, err
		}
		if w, err = specifiers(w, instance); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
}

// execArgv parses one Exec line (core/load-fragment.c, config_parse_exec). The prefix ":" is required, because systemd would
// otherwise expand "$".
func execArgv(s, instance string) ([]string, error) {
	first, ok, err := extractWord(&s, true)
	if err != nil || !ok {
		return nil, fmt.Errorf("no program (%v)", err)
	}
	path, ok := strings.CutPrefix(first, ":")
	if !ok {
		return nil, fmt.Errorf("%q has no colon", first)
	}
	if path, err = specifiers(path, instance); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "\"'\\*?[\x7f") ||
		strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }) {
		return nil, fmt.Errorf("some version of systemd refuses the path %q", path)
	}
	argv := []string{path}
	for s != "" {
		if s[0] == ';' && (len(s) == 1 || strings.IndexByte(whitespace, s[1]) >= 0) {
			return nil, errors.New("a bare semicolon begins a second command")
		}
		w, ok, err := extractWord(&s, true)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if w, err = specifiers(w, instance); err != nil {
			return nil, err
		}
		argv = append(argv, w)
	}
	return argv, nil
}
