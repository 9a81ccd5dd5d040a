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

// The rules of output: results go to stdout; progress, notes and errors go to stderr. Errors begin with "clusterctl: ",
// hints with "clusterctl: hint: ". A hint is what to type. Messages begin in lower case and have no full stop. Only output
// to a terminal is coloured or redrawn, and neither with NO_COLOR or TERM=dumb.

// note prints one line to stderr about a choice or a result, unless --quiet is given. It replaces control characters,
// because file names and start scripts may contain them.
func (e *env) note(format string, args ...any) {
	if !e.quiet {
		fmt.Fprintln(e.stderr, text.Cell(fmt.Sprintf(format, args...)))
	}
}

// progress prints how many instances are ready: on a terminal in one line that is redrawn, elsewhere in one line per event.
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
	case control.LeftAlone:
		p.total--
		return // there may be many, and a note at the end names them
	case control.SkippedByCondition:
		return
	}
	p.event(strings.TrimSuffix(ev.Unit, ".service"), what, ev.Phase == control.Ready)
}

// event prints what an instance is doing. reached: the instance is ready.
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

// End clears the line.
func (p *progress) End() {
	if p.drawn {
		fmt.Fprint(p.e.stderr, "\r\x1b[K")
		p.drawn = false
	}
}

// list is what --json prints for a list. A command sets the field with the name of its list.
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

// withResults prints the results of a command if it has --json, and returns its error. The command did not begin if results
// is nil.
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
