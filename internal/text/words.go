package text

import (
	"strconv"
	"strings"
	"unicode"
)

// Shell returns a word, quoted for sh(1) if necessary.
func Shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,@%+", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// ShellLine returns a command line with its words quoted for sh(1).
func ShellLine(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, w := range words {
		quoted = append(quoted, Shell(w))
	}
	return strings.Join(quoted, " ")
}

// Printable replaces control characters in a text from another program. It also replaces characters that change the
// direction of writing, which can make one name look like another. It keeps newlines and tabs.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Cell returns a text like [Printable], but on one line, for example the status text of a worker or a file name.
func Cell(s string) string {
	return strings.NewReplacer("\n", "\uFFFD", "\t", " ").Replace(Printable(s))
}

// Count returns a number and its noun: "1 instance", "3 instances".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
