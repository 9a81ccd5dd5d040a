package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// colour of a word on a terminal, and only there.
type colour int

const (
	plainColour colour = iota
	good
	warning
	bad
)

// ansi are the colours of every terminal's own palette: green, yellow, red.
func (c colour) ansi() string { return [...]string{"", "32", "33", "31"}[c] }

// colourOf says how much attention a state needs.
func colourOf(state string) colour {
	switch state {
	case "running":
		return good
	case "degraded", "restarting", "starting", "stopping", "masked":
		return warning
	case "failed", "gave up", "unknown":
		return bad
	}
	return plainColour
}

// column is one of a grid. drop orders what goes first where the terminal is too narrow: the highest; 0 stays. The last
// one may be cut instead, as long as leastCut columns of it are left.
type column struct {
	title string
	right bool
	drop  int
	cut   bool
}

const leastCut = 20

// word is the text of a cell.
type word struct {
	text   string
	colour colour
}

// grid is a table whose columns are known.
type grid struct {
	columns []column
	rows    [][]word
}

// row adds a line of plain words; the cell at state gets a colour.
func (g *grid) row(c colour, state int, cells ...string) {
	words := make([]word, 0, len(cells))
	for i, s := range cells {
		w := word{text: cell(s)}
		if i == state {
			w.colour = c
		}
		words = append(words, w)
	}
	g.rows = append(g.rows, words)
}

const gap = 2

// layout picks the columns that fit into width, 0 being any width, and says how wide each is.
func (g *grid) layout(width int) (keep []int, widths []int) {
	widths = make([]int, len(g.columns))
	for i, c := range g.columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, r := range g.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i].text))
		}
		keep = append(keep, i)
	}
	total := func() int {
		n := -gap
		for _, i := range keep {
			w := widths[i]
			if g.columns[i].cut {
				w = min(w, leastCut)
			}
			n += w + gap
		}
		return n
	}
	for width > 0 && total() > width {
		first := slices.MaxFunc(keep, func(a, b int) int { return g.columns[a].drop - g.columns[b].drop })
		if g.columns[first].drop == 0 {
			break
		}
		keep = slices.DeleteFunc(keep, func(i int) bool { return i == first })
	}
	return keep, widths
}

// write prints the grid in at most width columns where it can, 0 being any width. What is still too long is cut only there.
func (g *grid) write(w io.Writer, width int, coloured bool) error {
	keep, widths := g.layout(width)
	var b strings.Builder
	line := func(r []word) { b.WriteString(g.line(r, keep, widths, width, coloured) + "\n") }
	if slices.ContainsFunc(g.columns, func(c column) bool { return c.title != "" }) {
		titles := make([]word, 0, len(g.columns))
		for _, c := range g.columns {
			titles = append(titles, word{text: c.title})
		}
		line(titles)
	}
	for _, r := range g.rows {
		line(r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line lays out one row.
func (g *grid) line(r []word, keep, widths []int, width int, coloured bool) string {
	var b strings.Builder
	used := 0
	for n, i := range keep {
		text := r[i].text
		if n == len(keep)-1 && width > 0 {
			text = shorten(text, width-used)
		}
		pad := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(text), 0))
		if g.columns[i].right {
			b.WriteString(pad)
		}
		if coloured && r[i].colour != plainColour && text != "" {
			text = "\x1b[" + r[i].colour.ansi() + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		if !g.columns[i].right {
			b.WriteString(pad)
		}
		b.WriteString(strings.Repeat(" ", gap))
		used += widths[i] + gap
	}
	return strings.TrimRight(b.String(), " ")
}

// shorten cuts a text, and shows that it did.
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width || width < 1 {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// size writes a number of bytes with three figures: 812K, 52.1M, 1.20G.
func size(n *int64) string {
	if n == nil {
		return "-"
	}
	v, unit := float64(*n)/1024, "K"
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

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	if *v >= 99.95 {
		return fmt.Sprintf("%.0f%%", *v)
	}
	return fmt.Sprintf("%.1f%%", *v)
}

func number(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func (q *queueStatus) String() string {
	if q == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", q.Depth, q.Limit)
}
