// Package report makes docs/benchmarks.md from the results of a run. It is pure: the same results give the same text.
package report

import (
	"fmt"
	"strings"

	"github.com/clusterctl/clusterctl/bench/plot"
	"github.com/clusterctl/clusterctl/bench/result"
)

// Plots is the directory of the plots, beside the document.
const Plots = "benchmarks"

// Markdown is the document. source is the name of the file that the results are from.
func Markdown(f result.File, source string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Made by \"make bench\" from bench/results/%s. Edits are lost: change bench/report. -->\n\n", source)
	b.WriteString("# Benchmarks\n\n")
	if f.Quick {
		b.WriteString("**This is a smoke run. It shows that everything can be measured; its figures prove nothing.**\n\n")
	}
	b.WriteString(intro)
	if len(measured(f)) > 0 {
		fmt.Fprintf(&b, "\n![All ratios](%s/%s)\n", Plots, plot.Overview)
	}
	behind(&b, f)
	summary(&b, f)
	missing(&b, f)
	setting(&b, f)
	b.WriteString("\n" + method)
	details(&b, f)
	return b.String()
}

func measured(f result.File) []result.Comparison {
	var cs []result.Comparison
	for _, c := range f.Comparisons {
		if c.Ratio != nil {
			cs = append(cs, c)
		}
	}
	return cs
}

// behind comes first: where a peer is ahead.
func behind(b *strings.Builder, f result.File) {
	b.WriteString("\n## Where the other side is ahead\n\n")
	var cs []result.Comparison
	for _, c := range measured(f) {
		if result.VerdictOf(*c.RatioSpread) == result.Behind {
			cs = append(cs, c)
		}
	}
	if len(cs) == 0 {
		b.WriteString("In none of what was measured.\n")
		return
	}
	table(b, cs)
	last := ""
	for _, c := range cs {
		if n := base(c.Name); n != last {
			if why := aheadBecause(n); why != "" {
				fmt.Fprintf(b, "\n`%s`: %s\n", n, why)
			}
			last = n
		}
	}
}

func base(name string) string {
	n, _, _ := strings.Cut(name, "/")
	return n
}

func summary(b *strings.Builder, f result.File) {
	b.WriteString("\n## All of it\n\n")
	table(b, measured(f))
}

// table has one line for each comparison.
func table(b *strings.Builder, cs []result.Comparison) {
	b.WriteString("| comparison | ours | other | unit | ratio | least to most | |\n|---|--:|--:|---|--:|---|---|\n")
	for _, c := range cs {
		r := *c.RatioSpread
		verdict := string(result.VerdictOf(r))
		if c.Status != result.OK {
			verdict += ", incomplete"
		}
		fmt.Fprintf(b, "| `%s` (%s) | %s | %s | %s | **%s** | %s to %s | %s |\n", c.Name, cell(c.PeerSide),
			plot.Figure(*c.Ours), plot.Figure(*c.Peer),
			cell(c.Unit), plot.Figure(*c.Ratio), plot.Figure(r.Min), plot.Figure(r.Max), verdict)
	}
}

// cell is text that does not end a cell of a table, nor is taken for HTML, on one line.
func cell(s string) string {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "<", "&lt;")
	return strings.ReplaceAll(s, "|", "\\|")
}

// missing names what was not measured, with the reason.
func missing(b *strings.Builder, f result.File) {
	var lines []string
	for _, c := range f.Comparisons {
		if c.Status != result.OK {
			lines = append(lines, fmt.Sprintf("- `%s`, %s: %s", c.Name, c.Status, cell(c.Why)))
		}
	}
	if len(lines) > 0 {
		b.WriteString("\n## Not measured, or not completely\n\n" + strings.Join(lines, "\n") + "\n")
	}
}

func setting(b *strings.Builder, f result.File) {
	m := f.Machine
	b.WriteString("\n## The machine\n\n")
	fmt.Fprintf(b, "%s UTC, %.0f minutes. %s, %d CPUs, %d MB of memory, Linux %s. Load average before the run: %.2f.\n",
		f.Date.UTC().Format("2006-01-02 15:04"), f.Seconds/60, m.CPU, m.CPUs, m.MemoryMB, m.Kernel, m.Load)
	var versions []string
	for _, v := range m.Versions {
		versions = append(versions, v.Name+" "+v.Version)
	}
	if len(versions) > 0 {
		b.WriteString(strings.Join(versions, ", ") + ".\n")
	}
}

func details(b *strings.Builder, f result.File) {
	last := ""
	for _, c := range measured(f) {
		if n := base(c.Name); n != last {
			last = n
			fmt.Fprintf(b, "\n## %s\n\n", n)
			if text := about(n); text != "" {
				b.WriteString(text + "\n\n")
			}
			fmt.Fprintf(b, "![%s](%s/%[1]s.svg)\n", n, Plots)
		}
		detail(b, c)
	}
}

// detail has the spread of both sides, and each pair.
func detail(b *strings.Builder, c result.Comparison) {
	fmt.Fprintf(b, "\n### %s\n\n%s.", c.Name, sentence(cell(c.What)))
	if c.Better == result.Fewer {
		b.WriteString(" The ratio is of the counts plus one.")
	}
	b.WriteString("\n\n")
	fmt.Fprintf(b, "| %s | least | lower quartile | median | upper quartile | most |\n|---|--:|--:|--:|--:|--:|\n", cell(c.Unit))
	for _, row := range []struct {
		name string
		s    result.Spread
	}{{c.OurSide, *c.OursSpread}, {c.PeerSide, *c.PeerSpread}, {"ratio", *c.RatioSpread}} {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", cell(row.name), plot.Figure(row.s.Min), plot.Figure(row.s.Q1),
			plot.Figure(row.s.Median),
			plot.Figure(row.s.Q3), plot.Figure(row.s.Max))
	}
	var pairs []string
	for _, p := range c.Pairs {
		pairs = append(pairs, plot.Figure(p.Ours)+" / "+plot.Figure(p.Peer))
	}
	fmt.Fprintf(b, "\nPairs: %s.\n", strings.Join(pairs, ", "))
	if len(c.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, n := range c.Notes {
		fmt.Fprintf(b, "- %s\n", cell(n))
	}
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
