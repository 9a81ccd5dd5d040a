package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clusterctl/clusterctl/units/control"
)

// The rules of output: results alone go to stdout; progress, notes and errors go to stderr. Errors begin with
// "clusterctl: ", hints with "clusterctl: hint: " and can be typed as they are. No capitals, no full stops. Nothing is
// coloured or redrawn unless it goes to a terminal; NO_COLOR and TERM=dumb are honoured.

// note tells what was chosen or done, in one line on stderr. Control characters and newlines are replaced: a note may hold
// foreign text, such as a file name or a start script.
func (e *env) note(format string, args ...any) {
	if !e.quiet {
		fmt.Fprintln(e.stderr, cell(fmt.Sprintf(format, args...)))
	}
}

// table prints rows in aligned columns, without borders, cut nowhere.
func table(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(header) > 0 {
		fmt.Fprintln(t, strings.Join(header, "\t"))
	}
	for _, row := range rows {
		cells := make([]string, 0, len(row))
		for _, c := range row {
			cells = append(cells, cell(c))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// cell is text from anywhere (STATUS= of a worker, a path, an argument) that can break neither the table nor the terminal.
func cell(s string) string {
	return strings.NewReplacer("\n", "\uFFFD", "\t", " ").Replace(printable(s))
}

// progress shows how many instances are ready. On a terminal it is one line, drawn again; elsewhere a line per event.
type progress struct {
	e       *env
	verb    string
	total   int
	done    int
	started time.Time
	drawn   bool
}

func (e *env) newProgress(verb string, total int) *progress {
	return &progress{e: e, verb: verb, total: total, started: e.now()}
}

// observe is what the driver of the jobs reports to.
func (p *progress) observe(ev control.Progress) {
	what := ev.Phase.String()
	switch ev.Phase {
	case control.Broken:
		what += ": " + ev.Reason
	case control.LeftAlone:
		p.total--
		return // there may be many of them, and the end tells
	case control.SkippedByCondition:
		return
	}
	p.event(strings.TrimSuffix(ev.Unit, ".service"), what, ev.Phase == control.Ready)
}

// event records one instance that reached its state, or says what an instance is doing.
func (p *progress) event(unit, what string, reached bool) {
	what = cell(what)
	if reached {
		p.done++
	}
	if p.e.quiet {
		return
	}
	if !p.e.stderrTTY {
		if reached || what != "starting" && what != "waiting" && what != "stopping" {
			fmt.Fprintf(p.e.stderr, "%s: %s (%d/%d, %s)\n", unit, what, p.done, p.total, short(p.e.now().Sub(p.started)))
		}
		return
	}
	fmt.Fprintf(p.e.stderr, "\r\x1b[K%s: %d/%d ready, %s %s", p.verb, p.done, p.total, unit, what)
	p.drawn = true
}

// end clears the line, so that what follows stands alone.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.e.stderr, "\r\x1b[K")
		p.drawn = false
	}
}

// short writes a duration with two figures that matter: 70ms, 4.2s, 3m10s, 5h02m, 12d.
func short(d time.Duration) string {
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
