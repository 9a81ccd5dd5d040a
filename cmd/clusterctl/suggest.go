package main

import (
	"path/filepath"
	"strings"
)

// near gives the candidate that a mistyped word may have been meant to be, or "". cli's own suggestion has no bound: it
// has one for every word (quiet for version, generate for frobnicate), and a wrong hint costs more than none.
func near(word string, candidates []string) string {
	best, least := "", 2
	if len(word) > 5 {
		least = 3
	}
	for _, c := range candidates {
		if len(word) < 2 || len(c) < 2 {
			// Anything is one edit away from a letter.
			continue
		}
		d := edits(word, c)
		if len(word) >= 3 && strings.HasPrefix(c, word) {
			d = 1
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// edits is the number of single-byte edits between two short words, where two letters in the wrong order are one edit
// (optimal string alignment).
func edits(a, b string) int {
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

// meant adds to what is wrong with a flag's value the word that it may have been meant to be.
func meant(flag, value string, err error) error {
	if err == nil {
		return nil
	}
	if like := near(value, valuesOf(flag)); like != "" {
		return withHint(err, "did you mean --%s %s?", flag, like)
	}
	return err
}

// envHint tells what PM2 means by --env NAME and -e FILE.
func envHint(flag, value string) string {
	switch {
	case flag != "--env":
		return flag + " " + value + "=VALUE"
	case strings.Contains(value, "/") || filepath.Ext(value) != "":
		return "-e is --env here; " + pm2FlagHint("error")
	}
	return "--env " + value + "=VALUE; what PM2 calls --env " + value + ", a section of its file, is --env NODE_ENV=" + value + " here"
}
