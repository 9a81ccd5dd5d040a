package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Results go to stdout. Progress, notes and errors go to stderr. Errors begin with "clusterctl: ", hints with "clusterctl:
// hint: ". A hint contains what to type. Messages begin with a lower case letter and end without a full stop. Output is
// coloured or redrawn only on a terminal, and never with NO_COLOR or TERM=dumb.

// The method note prints one line to stderr, unless --quiet is given. It replaces control characters, because file names and
// start scripts may contain them.
func (e *env) note(format string, args ...any) {
	if !e.quiet {
		fmt.Fprintln(e.stderr, text.Cell(fmt.Sprintf(format, args...)))
	}
}

// The type progress prints how many instances are ready. On a terminal it redraws one line. In other output it prints one
// line per event.
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

// Observe prints one event of a job.
func (p *progress) Observe(ev control.Progress) {
	what := ev.Phase.String()
	switch ev.Phase {
	case control.Broken:
		what += ": " + ev.Reason
	case control.SkippedByReload:
		p.total--
		return // a note at the end of the reload lists these instances
	case control.SkippedByCondition:
		return
	}
	p.event(strings.TrimSuffix(ev.Unit, ".service"), what, ev.Phase == control.Ready)
}

// The method event prints what an instance is doing. The parameter reached means that the instance is ready.
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

// The method End removes the progress line from the terminal.
func (p *progress) End() {
	if p.drawn {
		fmt.Fprint(p.e.stderr, "\r\x1b[K")
		p.drawn = false
	}
}

// The type list describes the output of --json for a command that prints a list. Each command sets only the field for its
// list.
type list struct {
	Schema    int        `json:"schema"`
	Name      units.Name `json:"name,omitempty"`
	Apps      any        `json:"apps,omitempty"`
	Instances any        `json:"instances,omitempty"`
	Journals  any        `json:"journals,omitempty"`
	Packages  any        `json:"packages,omitempty"`
	Revisions any        `json:"revisions,omitempty"`
	Secrets   any        `json:"secrets,omitempty"`
}

func (l list) withSchema() list {
	l.Schema = status.SchemaVersion
	return l
}

func (e *env) printList(l list) error { return e.printJSON(l.withSchema()) }

// withResults prints the results of a command for --json, and returns err. It prints nothing if results is nil, which means
// that the command did not begin.
func withResults[R any](e *env, results []R, err error, asJSON bool) error {
	if asJSON && results != nil {
		err = errors.Join(err, e.printList(list{Apps: results}))
	}
	return err
}

func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
