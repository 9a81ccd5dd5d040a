package text

import (
	"strconv"
	"strings"
	"unicode"
)

// Shell quotes one word for sh(1) if it needs quotes.
func Shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,@%+", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// ShellLine quotes the words of a command line for sh(1).
func ShellLine(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, w := range words {
		quoted = append(quoted, Shell(w))
	}
	return strings.Join(quoted, " ")
}

// Printable replaces the control characters of foreign text, and the characters that turn the direction of writing and make
// one name look like another. Newlines and tabs stay.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Cell is [Printable] for text that must stay on one line, such as the status text of a worker or a file name.
func Cell(s string) string {
	return strings.NewReplacer("\n", "\uFFFD", "\t", " ").Replace(Printable(s))
}

// Count writes a number and its noun: "1 instance", "3 instances".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
