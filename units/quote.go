package units

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The type value is text that may be written to a unit file. Only the functions in this file create values, so text from a
// user cannot get into a template without escaping. A test checks that all fields of the views are values.
type value string

// maxArg is the maximum length of an argument or environment string for the kernel (MAX_ARG_STRLEN, with its NUL).
const maxArg = 128*1024 - 1

// Maximum length, in bytes, of a path and of one part of a path for systemd (basic/path-util.c, path_is_valid).
const maxPath, maxPathPart = 4095, 255

// badText returns why a string cannot be in any unit file, or "" if it can. systemd refuses a file with invalid UTF-8.
// systemd also treats the 66 noncharacters of Unicode as invalid (basic/utf8.c, unichar_is_valid).
func badText(s string) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8, which systemd does not support"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe }) {
		return "has a Unicode noncharacter (such as U+FFFE), which systemd refuses"
	}
	return ""
}

// lineText returns a text for a setting that uses the rest of the line as its value, such as WorkingDirectory=,
// ListenStream= and User=. systemd does not unquote or unescape this value, but expands specifiers in it. The function
// returns an error if such a value cannot contain the text.
func lineText(field, s string) (value, error) {
	switch why := badText(s); {
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "", fieldErrorf(field, "", "%q has a control character, which a unit file cannot hold here", s)
	case why != "":
		return "", fieldErrorf(field, "", "%q %s", s, why)
	case s != strings.TrimSpace(s):
		return "", fieldErrorf(field, "", "%q begins or ends with a blank, which a unit file cannot hold here", s)
	case strings.HasSuffix(s, `\`):
		return "", fieldErrorf(field, "", "%q ends with a backslash, which a unit file cannot hold here", s)
	}
	return value(escapePercent(s)), nil
}

// absolutePath returns an absolute path for the same settings as lineText.
func absolutePath(field, s string) (value, error) {
	if !strings.HasPrefix(s, "/") {
		return "", fieldErrorf(field, "", "%q is not an absolute path", s)
	}
	if slices.Contains(strings.Split(s, "/"), "..") {
		return "", fieldErrorf(field, "", "%q contains \"..\"", s)
	}
	if why := longPath(s); why != "" {
		return "", fieldErrorf(field, "", "%q %s", s, why)
	}
	return lineText(field, s)
}

// longPath returns why a path is too long for systemd and the kernel, or "" if it is not.
func longPath(s string) string {
	if len(s) > maxPath {
		return "is longer than " + strconv.Itoa(maxPath) + " bytes"
	}
	for part := range strings.SplitSeq(s, "/") {
		if len(part) > maxPathPart {
			return "has a part of more than " + strconv.Itoa(maxPathPart) + " bytes"
		}
	}
	return ""
}

// globPath returns an absolute path for EnvironmentFile=. globPath escapes the path, because the value is a glob pattern
// (core/execute.c, exec_context_load_environment).
func globPath(field, s string) (value, error) {
	if v, err := absolutePath(field, s); err != nil {
		return v, err
	}
	return absolutePath(field, strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s))
}

// unescapeGlob undoes the escaping of globPath.
func unescapeGlob(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\*`, `*`, `\?`, `?`, `\[`, `[`).Replace(s)
}

// The function word returns one word of ExecStart= or Environment=, always in double quotes. systemd splits the line into
// words, unquotes the words and undoes C escapes (shared/conf-parser.c, basic/extract-word.c). Then systemd resolves
// specifiers, so "%" is doubled. "$" needs no escape: every Exec line here has the prefix ":" (since 244), and Environment=
// does not expand variables.
func word(field, s string) (value, error) {
	if err := checkWord(field, s, strconv.Quote(s)); err != nil {
		return "", err
	}
	return value(quoteWord(s)), nil
}

// checkWord returns an error if a text cannot be passed to a program. The error contains the label instead of the text,
// which may be a secret.
func checkWord(field, s, label string) error {
	switch why := badText(s); {
	case strings.IndexByte(s, 0) >= 0:
		return fieldErrorf(field, "", "%s contains NUL, which cannot be passed to a program", label)
	case why != "":
		return fieldErrorf(field, "put the text into a file that the program reads", "%s %s", label, why)
	case len(s) > maxArg:
		return fieldErrorf(field, "put the text into a file that the program reads",
			"a string of %d bytes is longer than the limit of the kernel (%d)", len(s), maxArg)
	}
	return nil
}

func quoteWord(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%':
			b.WriteString("%%")
		case c == '\\' || c == '"':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// pathWord returns an absolute path as a quoted word, for a list such as ReadWritePaths=.
func pathWord(field, s string) (value, error) {
	if _, err := absolutePath(field, s); err != nil {
		return "", err
	}
	return word(field, s)
}

// bindPath returns a path in BindPaths=. In BindPaths=, a colon separates source and destination, from 262 on even within
// quotes. So bindPath escapes the colon, which works on all versions. A quotation mark is an error, because no escape
// sequence for it works both in 262 and in older versions.
func bindPath(field, s string) (value, error) {
	if strings.Contains(s, `"`) {
		return "", fieldErrorf(field, "use --allow home, which does not need the path",
			`%q has a quotation mark, which BindPaths= cannot hold`, s)
	}
	v, err := pathWord(field, s)
	return value(strings.ReplaceAll(string(v), ":", `\:`)), err
}

// The function fixed returns s without escaping, so s may contain %i. The text must not come from the user, except names
// that ParseName has checked.
func fixed(s string) value { return value(s) }

func escapePercent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// safeExecutable reports whether systemd accepts the path as the first word of an Exec line. Quotes do not help, because the
// path itself must not contain control characters, quotes or backslashes (basic/string-util.c, string_is_safe), and from 262
// on no glob characters.
func safeExecutable(s string) bool {
	if !strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r == 0x7f || strings.ContainsRune(`"'\*?[`, r)
	})
}
