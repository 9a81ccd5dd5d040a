package text

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Colour is the meaning of a cell, which a terminal shows as a colour.
type Colour int

const (
	Plain Colour = iota
	Good
	Warning
	Bad
)

// ansi returns the ANSI code of the colour: green, yellow or red of the terminal's palette.
func (c Colour) ansi() string { return [...]string{"", "32", "33", "31"}[c] }

// Column is one column of a [Grid].
type Column struct {
	Title string
	// Right aligns the cells to the right.
	Right bool
	// If the terminal is too narrow, the column with the highest Drop is omitted first. A column with Drop 0 is never
	// omitted.
	Drop int
	// Cut means that the cells of this column, which must be the last, may be shortened to leastCut characters before a
	// column is omitted.
	Cut bool
}

const leastCut = 20

// A word is a cell with its text and its colour.
type word struct {
	text   string
	colour Colour
}

// Grid is a table of text without borders. All cells of a column have the same width.
type Grid struct {
	Columns []Column
	rows    [][]word
}

// Row adds a row. It converts each cell with [Cell]. The parameter state is the index of the cell that gets the colour c.
func (g *Grid) Row(c Colour, state int, cells ...string) {
	words := make([]word, 0, len(cells))
	for i, s := range cells {
		w := word{text: Cell(s)}
		if i == state {
			w.colour = c
		}
		words = append(words, w)
	}
	g.rows = append(g.rows, words)
}

const gap = 2

// The method layout returns the indexes of the columns that fit into the width, and the widths of all columns. Width 0 means
// no limit.
func (g *Grid) layout(width int) (keep []int, widths []int) {
	widths = make([]int, len(g.Columns))
	for i, c := range g.Columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for _, r := range g.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i].text))
		}
		keep = append(keep, i)
	}
	total := func() int {
		n := -gap
		for _, i := range keep {
			w := widths[i]
			if g.Columns[i].Cut {
				w = min(w, leastCut)
			}
			n += w + gap
		}
		return n
	}
	for width > 0 && total() > width {
		first := slices.MaxFunc(keep, func(a, b int) int { return g.Columns[a].Drop - g.Columns[b].Drop })
		if g.Columns[first].Drop == 0 {
			break
		}
		keep = slices.DeleteFunc(keep, func(i int) bool { return i == first })
	}
	return keep, widths
}

// Write prints the grid. It omits and shortens columns to print at most width characters per line. Lines are longer only if
// columns with Drop 0 need more. Width 0 means no limit.
func (g *Grid) Write(w io.Writer, width int, coloured bool) error {
	keep, widths := g.layout(width)
	var b strings.Builder
	line := func(r []word) { b.WriteString(g.line(r, keep, widths, width, coloured) + "\n") }
	if slices.ContainsFunc(g.Columns, func(c Column) bool { return c.Title != "" }) {
		titles := make([]word, 0, len(g.Columns))
		for _, c := range g.Columns {
			titles = append(titles, word{text: c.Title})
		}
		line(titles)
	}
	for _, r := range g.rows {
		line(r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (g *Grid) line(r []word, keep, widths []int, width int, coloured bool) string {
	var b strings.Builder
	used := 0
	for n, i := range keep {
		text := r[i].text
		if n == len(keep)-1 && width > 0 {
			text = shorten(text, width-used)
		}
		pad := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(text), 0))
		if g.Columns[i].Right {
			b.WriteString(pad)
		}
		if coloured && r[i].colour != Plain && text != "" {
			text = "\x1b[" + r[i].colour.ansi() + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		if !g.Columns[i].Right {
			b.WriteString(pad)
		}
		b.WriteString(strings.Repeat(" ", gap))
		used += widths[i] + gap
	}
	return strings.TrimRight(b.String(), " ")
}

// shorten shortens a text to width. A shortened text ends in "…".
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width || width < 1 {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// Omit removes the column with this title, if the grid has it.
func (g *Grid) Omit(title string) {
	i := slices.IndexFunc(g.Columns, func(c Column) bool { return c.Title == title })
	if i < 0 {
		return
	}
	g.Columns = slices.Delete(g.Columns, i, i+1)
	for n, r := range g.rows {
		g.rows[n] = slices.Delete(r, i, i+1)
	}
}

// OmitEmptyLast removes the last column if all its cells are empty.
func (g *Grid) OmitEmptyLast() {
	last := len(g.Columns) - 1
	if !slices.ContainsFunc(g.rows, func(r []word) bool { return r[last].text != "" }) {
		g.Omit(g.Columns[last].Title)
	}
}

// Table prints rows in columns that are as wide as their longest cell. If all titles are empty, it prints no header.
func Table(w io.Writer, titles []string, rows [][]string) error {
	g := Grid{}
	for _, title := range titles {
		g.Columns = append(g.Columns, Column{Title: title})
	}
	for _, r := range rows {
		g.Row(Plain, 0, r...)
	}
	return g.Write(w, 0, false)
}
