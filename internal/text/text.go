// Package text formats output for people: tables, sizes, durations, counts and words for a shell. It also replaces control
// characters in text from other programs, and finds the word that a user mistyped.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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

// Printable replaces control characters except newline and tab. It also replaces characters that change the direction of
// writing, because they can make one name look like another.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Cell does the same as [Printable], but also replaces newlines and tabs, so that the text has one line.
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

// Duration returns a duration in a short form: 70ms, 4.2s, 3m10s, 5h02m, 12d.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// Size returns a number of bytes with three significant digits, in units of 1024: 812K, 52.1M, 1.20G.
func Size[N int64 | uint64](n N) string {
	v, unit := float64(n)/1024, "K"
	for _, next := range []string{"M", "G", "T"} {
		if v < 1000 {
			break
		}
		v, unit = v/1024, next
	}
	switch {
	case unit == "K" || v >= 100:
		return fmt.Sprintf("%.0f%s", v, unit)
	case v >= 10:
		return fmt.Sprintf("%.1f%s", v, unit)
	}
	return fmt.Sprintf("%.2f%s", v, unit)
}

// Nearest returns the candidate that the user probably meant when typing word, or "". The candidate begins with word or
// differs from it by at most two edits. For a word of at most five letters, it differs by at most one edit, because a wrong
// suggestion is worse than none.
func Nearest(word string, candidates []string) string {
	best, least := "", 2
	if len(word) > 5 {
		least = 3
	}
	for _, c := range candidates {
		if len(word) < 2 || len(c) < 2 {
			// One edit changes a letter to any other letter, so every word of one letter would be a candidate.
			continue
		}
		d := Edits(word, c)
		if len(word) >= 3 && strings.HasPrefix(c, word) {
			d = 1
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// Edits returns the number of edits that change a to b (optimal string alignment). An edit inserts, deletes or replaces one
// byte, or swaps two adjacent bytes.
func Edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
