package text

import "strings"

// Nearest returns the candidate that a mistyped word probably means, or "". A candidate differs by at most two edits, or by
// one for a word of at most five letters, because a wrong suggestion is worse than none.
func Nearest(word string, candidates []string) string {
	best, least := "", 2
	if len(word) > 5 {
		least = 3
	}
	for _, c := range candidates {
		if len(word) < 2 || len(c) < 2 {
			// Every letter is only one edit away from every other letter.
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

// Edits returns the number of single-byte edits between two short words, where two swapped letters are one edit (optimal
// string alignment).
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
