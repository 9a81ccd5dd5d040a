// Package plot draws the results as SVG: one file for each comparison, with bars for both sides and lines for the range of
// the pairs, and one file with all ratios. The output is deterministic.
package plot

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/bench/result"
)

// File is one plot.
type File struct {
	Name string
	SVG  []byte
}

// Overview is the name of the plot of all ratios.
const Overview = "ratios.svg"

// All returns the plots of all measured comparisons.
func All(f result.File) []File {
	var files []File
	var measured []result.Comparison
	groups := map[string][]result.Comparison{}
	var names []string
	for _, c := range f.Comparisons {
		if c.Ratio == nil {
			continue
		}
		measured = append(measured, c)
		name, _, _ := strings.Cut(c.Name, "/")
		if groups[name] == nil {
			names = append(names, name)
		}
		groups[name] = append(groups[name], c)
	}
	if len(measured) == 0 {
		return nil
	}
	files = append(files, File{Overview, ratios(measured)})
	for _, n := range names {
		files = append(files, File{n + ".svg", bars(n, groups[n])})
	}
	return files
}

// The measures of a drawing, in pixels.
const (
	width     = 860
	margin    = 16
	labels    = 250 // width of the left column
	values    = 120 // width of the right column
	barHeight = 14
	rowHeight = 2*barHeight + 16
)

const (
	ourColour  = "#2563a8"
	peerColour = "#b0762c"
	ink        = "#222222"
	faint      = "#d8d8d8"
)

// canvas collects SVG elements.
type canvas struct{ b strings.Builder }

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(&c.b, format+"\n", args...) }

func (c *canvas) text(x, y float64, anchor, colour, s string) {
	c.add(`<text x="%s" y="%s" text-anchor="%s" fill="%s">%s</text>`, px(x), px(y), anchor, colour, html.EscapeString(s))
}

func (c *canvas) rect(x, y, w, h float64, colour string) {
	c.add(`<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`, px(x), px(y), px(max(w, 0.5)), px(h), colour)
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string) {
	c.add(`<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s"/>`, px(x1), px(y1), px(x2), px(y2), colour)
}

func (c *canvas) svg(height float64, title string) []byte {
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%s" viewBox="0 0 %d %s"`+
		` font-family="sans-serif" font-size="12">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, width, px(height), width, px(height), html.EscapeString(title), c.b.String())
}

// The function px formats a coordinate. A fixed number of digits makes the output deterministic.
func px(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// Figure formats a measured value with three significant digits.
func Figure(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) && a < 1e6:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// bars draws one comparison with its variants: one panel for each unit, with its own scale.
func bars(name string, cs []result.Comparison) []byte {
	var c canvas
	y := float64(margin)
	c.text(margin, y+10, "start", ink, name)
	c.rect(width-values-210, y, 12, 12, ourColour)
	c.text(width-values-194, y+10, "start", ink, "clusterctl")
	c.rect(width-values-110, y, 12, 12, peerColour)
	c.text(width-values-94, y+10, "start", ink, "the other side")
	y += 30
	for _, unit := range unitsOf(cs) {
		most, better := 0.0, result.Less
		for _, m := range cs {
			if m.Unit == unit {
				most, better = max(most, m.OursSpread.Max, m.PeerSpread.Max), m.Better
			}
		}
		if most == 0 {
			most = 1 // all counts are zero
		}
		what := "less is better"
		if better == result.More {
			what = "more is better"
		}
		c.text(margin, y+10, "start", "#666666", strings.TrimPrefix(unit+", "+what, ", "))
		y += 20
		for _, m := range cs {
			if m.Unit == unit {
				row(&c, y, m, most)
				y += rowHeight
			}
		}
		y += 8
	}
	return c.svg(y+margin, name)
}

// unitsOf returns the units of comparisons, in the order of their first appearance.
func unitsOf(cs []result.Comparison) []string {
	var units []string
	seen := map[string]bool{}
	for _, c := range cs {
		if !seen[c.Unit] {
			seen[c.Unit] = true
			units = append(units, c.Unit)
		}
	}
	return units
}

// The function row draws a variant: the medians as bars, and the range from the smallest to the largest figure of the pairs
// as a line.
func row(c *canvas, y float64, m result.Comparison, most float64) {
	_, label, found := strings.Cut(m.Name, "/")
	if !found {
		label = m.Name
	}
	c.text(labels-8, y+barHeight-2, "end", ink, label)
	c.text(labels-8, y+2*barHeight, "end", "#666666", shorten(m.PeerSide, 38))
	space := float64(width - labels - values)
	for i, side := range []struct {
		s      result.Spread
		colour string
	}{{*m.OursSpread, ourColour}, {*m.PeerSpread, peerColour}} {
		top := y + float64(i)*(barHeight+2)
		at := func(v float64) float64 { return labels + space*v/most }
		c.rect(labels, top, at(side.s.Median)-labels, barHeight, side.colour)
		c.line(at(side.s.Min), top+barHeight/2, at(side.s.Max), top+barHeight/2, ink)
		c.text(width-values+6, top+barHeight-3, "start", side.colour, Figure(side.s.Median))
	}
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// ratios draws all ratios on one logarithmic scale. The bar is the range between the quartiles.
func ratios(cs []result.Comparison) []byte {
	var c canvas
	low, high := 0.5, 2.0
	for _, m := range cs {
		low, high = min(low, m.RatioSpread.Q1, m.RatioSpread.Median), max(high, m.RatioSpread.Q3, m.RatioSpread.Median)
	}
	from, to := math.Floor(math.Log2(low)), math.Ceil(math.Log2(high))
	left := float64(labels + 60)
	space := float64(width-values) - left
	at := func(v float64) float64 { return left + space*(math.Log2(v)-from)/(to-from) }
	const line = 20
	y := float64(margin)
	c.text(margin, y+10, "start", ink, "ratio to the other side, over 1 is better for clusterctl (logarithmic)")
	y += 30
	bottom := y + float64(len(cs)*line)
	for e := from; e <= to; e++ {
		x := at(math.Pow(2, e))
		colour := faint
		if e == 0 {
			colour = ink
		}
		c.line(x, y, x, bottom, colour)
		c.text(x, bottom+14, "middle", "#666666", Figure(math.Pow(2, e)))
	}
	for _, m := range cs {
		r := *m.RatioSpread
		colour := "#777777"
		switch result.VerdictOf(r) {
		case result.Ahead:
			colour = ourColour
		case result.Behind:
			colour = peerColour
		}
		c.text(left-8, y+13, "end", ink, m.Name)
		c.line(max(at(r.Min), left), y+9, min(at(r.Max), left+space), y+9, colour)
		c.rect(at(r.Q1), y+5, at(r.Q3)-at(r.Q1), 9, colour)
		c.rect(at(r.Median)-1, y+3, 2, 13, ink)
		c.text(width-values+6, y+13, "start", colour, Figure(r.Median))
		y += line
	}
	return c.svg(bottom+30, "ratios")
}
