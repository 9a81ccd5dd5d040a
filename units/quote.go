package units

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is text that may stand in a unit file. The functions of this file are the only ones that make one, so nothing
// that a user wrote can get into a template unescaped; a test walks the views to keep it so.
type value string

// maxArg is the longest single argument or environment string that the kernel takes (MAX_ARG_STRLEN, with its NUL).
const maxArg = 128*1024 - 1

// Longest path and longest part of one, in bytes, that systemd takes anywhere (basic/path-util.c, path_is_valid).
const maxPath, maxPathPart = 4095, 255

// badText says what keeps a string out of every unit file, or "". Beside what is not UTF-8, systemd takes the 66
// noncharacters of Unicode for invalid and then refuses the whole file (basic/utf8.c, unichar_is_valid).
func badText(s string) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8, which systemd cannot show or pass on"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe }) {
		return "has a Unicode noncharacter (such as U+FFFE), for which systemd refuses the whole file"
	}
	return ""
}

// plain is for settings whose value systemd takes as the rest of the line: no quoting, no escapes, but specifiers
// (WorkingDirectory=, ListenStream=, User=). What such a line cannot hold is refused.
func plain(field, s string) (value, error) {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return "", fieldErrorf(field, "", "%q has a control character, which a unit file cannot hold here", s)
		}
	}
	switch why := badText(s); {
	case why != "":
		return "", fieldErrorf(field, "", "%q %s", s, why)
	case s != strings.TrimSpace(s):
		return "", fieldErrorf(field, "", "%q begins or ends with a blank, which a unit file cannot hold here", s)
	case strings.HasSuffix(s, `\`):
		return "", fieldErrorf(field, "", "%q ends with a backslash, which a unit file cannot hold here", s)
	}
	return value(escapePercent(s)), nil
}

// absolute is plain for a path.
func absolute(field, s string) (value, error) {
	if !strings.HasPrefix(s, "/") {
		return "", fieldErrorf(field, "", "%q is not an absolute path", s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return "", fieldErrorf(field, "", "%q contains \"..\"", s)
		}
	}
	if why := longPath(s); why != "" {
		return "", fieldErrorf(field, "", "%q %s", s, why)
	}
	return plain(field, s)
}

// longPath says what makes a path too long for systemd and the kernel, or "".
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

// globPath is absolute for EnvironmentFile=, which is a glob pattern (core/execute.c, exec_context_load_environment).
func globPath(field, s string) (value, error) {
	if v, err := absolute(field, s); err != nil {
		return v, err
	}
	return absolute(field, strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s))
}

// unescapeGlob undoes what globPath adds.
func unescapeGlob(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\*`, `*`, `\?`, `?`, `\[`, `[`).Replace(s)
}

// word is one word of ExecStart= or Environment=, always in double quotes: both settings split into words, unquote and
// undo C escapes (shared/conf-parser.c, basic/extract-word.c). "%" comes first, as systemd resolves specifiers in the
// unescaped word. "$" is left alone: every Exec line of ours has the prefix ":" (since 244), Environment= expands none.
func word(field, s string) (value, error) {
	if err := checkWord(field, s, strconv.Quote(s)); err != nil {
		return "", err
	}
	return value(quoteWord(s)), nil
}

// checkWord refuses what no program can be given. The errors call it what, so that they need not have a secret in them.
func checkWord(field, s, what string) error {
	switch why := badText(s); {
	case strings.IndexByte(s, 0) >= 0:
		return fieldErrorf(field, "", "%s contains NUL, which no program can be given", what)
	case why != "":
		return fieldErrorf(field, "put it into a file that the program reads", "%s %s", what, why)
	case len(s) > maxArg:
		return fieldErrorf(field, "put it into a file that the program reads",
			"one string of %d bytes is longer than the kernel takes (%d)", len(s), maxArg)
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
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// pathWord is a path in a list of words (ReadWritePaths=), which unquotes like word.
func pathWord(field, s string) (value, error) {
	if _, err := absolute(field, s); err != nil {
		return "", err
	}
	return word(field, s)
}

// bindPath is a path in BindPaths=, where a colon separates source and destination: within quotes too from 262 on, so it is
// escaped, which all versions undo. 262 takes no quote in any form that older ones take.
func bindPath(field, s string) (value, error) {
	if strings.Contains(s, `"`) {
		return "", fieldErrorf(field, "use --allow home, which needs no such path",
			`%q has a quotation mark, which BindPaths= cannot hold`, s)
	}
	v, err := pathWord(field, s)
	return value(strings.ReplaceAll(string(v), ":", `\:`)), err
}

// fixed is for text of our own that holds nothing of the user's: names checked by ParseName, numbers, paths of ours.
// Unlike the others it escapes nothing, so that %i can stand in it.
func fixed(s string) value { return value(s) }

func escapePercent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// safeExecutable says whether systemd takes the path as the first word of an Exec line: unquoting does not help, since
// the path itself must be free of control characters, quotes and backslashes (basic/string-util.c, string_is_safe), and
// from 262 of glob characters too.
func safeExecutable(s string) bool {
	if !strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r == 0x7f || strings.ContainsRune(`"'\*?[`, r)
	})
}
