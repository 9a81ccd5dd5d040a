package main

import (
	"bytes"
	"fmt"
	"strings"
)

// contextLines is how many lines around a change are shown, as diff -u has it.
const contextLines = 3

// diffLine is one line of a comparison: ' ' in both, '-' only in the old text, '+' only in the new one.
type diffLine struct {
	op   byte
	line string
}

// unified compares two texts as "diff -u" does; nil is a file that is not there. It is empty when they are the same.
func unified(path string, before, after []byte) string {
	if bytes.Equal(before, after) && (before == nil) == (after == nil) {
		return ""
	}
	from, to := path, path
	if before == nil {
		from = "/dev/null"
	}
	if after == nil {
		to = "/dev/null"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", from, to)
	edits := compareLines(splitLines(before), splitLines(after))
	for _, h := range hunks(edits) {
		writeHunk(&b, edits, h)
	}
	return b.String()
}

// splitLines keeps the newlines, so that a last line without one is another line than the same with one.
func splitLines(text []byte) []string {
	lines := strings.SplitAfter(string(text), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// mostCells bounds the table of compareLines. Beyond it, what differs is shown as replaced as a whole; units are a
// hundred lines long.
const mostCells = 16 << 20

// compareLines finds a longest common subsequence of what is left between a common beginning and end.
func compareLines(a, b []string) []diffLine {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var edits []diffLine
	put := func(op byte, lines []string) {
		for _, l := range lines {
			edits = append(edits, diffLine{op, l})
		}
	}
	put(' ', a[:head])
	edits = append(edits, compareMiddle(a[head:len(a)-tail], b[head:len(b)-tail])...)
	put(' ', a[len(a)-tail:])
	return edits
}

func compareMiddle(a, b []string) []diffLine {
	var edits []diffLine
	if len(a)*len(b) > mostCells {
		for _, l := range a {
			edits = append(edits, diffLine{'-', l})
		}
		for _, l := range b {
			edits = append(edits, diffLine{'+', l})
		}
		return edits
	}
	// common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			edits = append(edits, diffLine{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			edits = append(edits, diffLine{'-', a[i]})
			i++
		default:
			edits = append(edits, diffLine{'+', b[j]})
			j++
		}
	}
	return edits
}

// hunk is a range of edits.
type hunk struct{ from, to int }

// hunks gathers changes whose context touches.
func hunks(edits []diffLine) []hunk {
	var all []hunk
	for i, e := range edits {
		if e.op == ' ' {
			continue
		}
		from, to := max(0, i-contextLines), min(len(edits), i+1+contextLines)
		if n := len(all); n > 0 && from <= all[n-1].to {
			all[n-1].to = to
			continue
		}
		all = append(all, hunk{from, to})
	}
	return all
}

func writeHunk(b *strings.Builder, edits []diffLine, h hunk) {
	oldAt, newAt := 1, 1
	for _, e := range edits[:h.from] {
		if e.op != '+' {
			oldAt++
		}
		if e.op != '-' {
			newAt++
		}
	}
	oldLen, newLen := 0, 0
	for _, e := range edits[h.from:h.to] {
		if e.op != '+' {
			oldLen++
		}
		if e.op != '-' {
			newLen++
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", lineRange(oldAt, oldLen), lineRange(newAt, newLen))
	for _, e := range edits[h.from:h.to] {
		b.WriteByte(e.op)
		b.WriteString(e.line)
		if !strings.HasSuffix(e.line, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// lineRange is "3,7", or "3" for one line; of an empty range the line before is named.
func lineRange(at, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", at-1)
	case 1:
		return fmt.Sprint(at)
	}
	return fmt.Sprintf("%d,%d", at, n)
}
