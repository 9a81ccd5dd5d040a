package text

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestGrid checks tables with random contents at random widths: each row is one line, columns with Drop 0 are not omitted,
// and a column is omitted only after all columns with a higher Drop. With width 0, no column is omitted.
func TestGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "columns")
		g := &Grid{}
		for range n {
			g.Columns = append(g.Columns, Column{
				Title: rapid.StringMatching(`[A-Z]{1,8}`).Draw(t, "title"), Right: rapid.Bool().Draw(t, "right"),
				Drop: rapid.IntRange(0, 5).Draw(t, "drop"),
			})
		}
		g.Columns[n-1].Cut = rapid.Bool().Draw(t, "cut")
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			var cells []string
			for range n {
				cells = append(cells, rapid.String().Draw(t, "cell"))
			}
			g.Row(Bad, 0, cells...)
		}
		width := rapid.IntRange(0, 100).Draw(t, "width")
		keep, widths := g.layout(width)
		least, kept := 99, map[int]bool{}
		for _, i := range keep {
			kept[i] = true
		}
		for i, c := range g.Columns {
			if kept[i] {
				continue
			}
			if c.Drop == 0 || width == 0 {
				t.Fatalf("column %d was omitted, but has Drop 0, or the width is unlimited", i)
			}
			least = min(least, c.Drop)
		}
		total := -gap
		for _, i := range keep {
			if g.Columns[i].Drop > least {
				t.Fatalf("column %d was not omitted, but a column with a lower Drop was", i)
			}
			total += widths[i] + gap
		}
		var plain, coloured bytes.Buffer
		if g.Write(&plain, width, false) != nil || g.Write(&coloured, width, true) != nil {
			t.Fatal("Write returned an error")
		}
		if strings.ReplaceAll(strings.ReplaceAll(coloured.String(), "\x1b[31m", ""), "\x1b[0m", "") != plain.String() {
			// Write removes blanks at the end of a line, but not blanks in front of the code that ends a colour. So compare
			// only the words.
			if strings.Join(strings.Fields(strings.ReplaceAll(strings.ReplaceAll(coloured.String(), "\x1b[31m", ""), "\x1b[0m", "")),
				" ") != strings.Join(strings.Fields(plain.String()), " ") {
				t.Fatalf("got %q, which is not %q with colours", coloured.String(), plain.String())
			}
		}
		if got := strings.Count(plain.String(), "\n"); got != len(g.rows)+1 {
			t.Fatalf("got %d lines for %d rows", got, len(g.rows))
		}
		droppable := false
		for _, i := range keep {
			droppable = droppable || g.Columns[i].Drop > 0
		}
		for line := range strings.Lines(plain.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 0 && droppable && total <= width && n > width {
				t.Fatalf("got a line of %d characters, want at most %d", n, width)
			}
		}
	})
}
