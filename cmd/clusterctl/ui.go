package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units/control"
)

// The rules of output: results alone go to stdout; progress, notes and errors go to stderr. Errors begin with
// "clusterctl: ", hints with "clusterctl: hint: " and can be typed as they are. No capitals, no full stops. Nothing is
// coloured or redrawn unless it goes to a terminal; NO_COLOR and TERM=dumb are honoured.

// note tells what was chosen or done, in one line on stderr. Control characters and newlines are replaced: a note may hold
// foreign text, such as a file name or a start script.
func (e *env) note(format string, args ...any) {
	if !e.quiet {
		fmt.Fprintln(e.stderr, text.Cell(fmt.Sprintf(format, args...)))
	}
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

// Observe is what the driver of the jobs reports to.
func (p *progress) Observe(ev control.Progress) {
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
	what = text.Cell(what)
	if reached {
		p.done++
	}
	if p.e.quiet {
		return
	}
	if !p.e.stderrTTY {
		if reached || what != "starting" && what != "waiting" && what != "stopping" {
			fmt.Fprintf(p.e.stderr, "%s: %s (%d/%d, %s)\n", unit, what, p.done, p.total, text.Duration(p.e.now().Sub(p.started)))
		}
		return
	}
	fmt.Fprintf(p.e.stderr, "\r\x1b[K%s: %d/%d ready, %s %s", p.verb, p.done, p.total, unit, what)
	p.drawn = true
}

// End clears the line, so that what follows stands alone.
func (p *progress) End() {
	if p.drawn {
		fmt.Fprint(p.e.stderr, "\r\x1b[K")
		p.drawn = false
	}
}
