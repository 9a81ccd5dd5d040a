package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/text"
)

// sortNames are the keys of --sort.
var sortNames = []string{"name", "cpu", "memory", "connections", "restarts", "uptime", "state"}

// sorted are all apps, and the instances of each; equal ones by name and number. What is not known comes last.
func (l *appList) sorted(by string) []appStatus {
	apps := append(slices.Clone(l.apps), l.broken...)
	slices.SortFunc(apps, func(a, b appStatus) int {
		return cmp.Or(compare(by, a.key(), b.key()), strings.Compare(string(a.Name), string(b.Name)))
	})
	for _, a := range apps {
		slices.SortFunc(a.Instances, func(a, b instanceStatus) int {
			return cmp.Or(compare(by, a.key(), b.key()), a.Instance-b.Instance)
		})
	}
	if apps == nil {
		apps = []appStatus{}
	}
	return apps
}

// sortKey are the values that can be sorted by.
type sortKey struct {
	consumption
	connections *int
	restarts    int
	since       *time.Time
	state       string
}

func (s appStatus) key() sortKey {
	return sortKey{s.consumption, s.Connections, s.Restarts, s.Since, s.State}
}

func (i instanceStatus) key() sortKey {
	return sortKey{i.consumption, i.Connections, i.Restarts, i.Since, i.State}
}

// compare puts the largest first, and the longest uptime; states as their words sort.
func compare(by string, a, b sortKey) int {
	switch by {
	case "cpu":
		return descending(a.CPU, b.CPU)
	case "memory":
		return descending(a.Memory, b.Memory)
	case "connections":
		return descending(a.connections, b.connections)
	case "restarts":
		return b.restarts - a.restarts
	case "uptime":
		if a.since == nil || b.since == nil {
			return descending(present(a.since), present(b.since))
		}
		return a.since.Compare(*b.since)
	case "state":
		return strings.Compare(a.state, b.state)
	}
	return 0
}

func descending[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*b, *a)
}

func present(t *time.Time) *int {
	if t == nil {
		return nil
	}
	return new(int)
}

// age is the time since t, or "-" when there is none.
func (e *env) age(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return text.Duration(e.now().Sub(*t))
}

// printApps prints a line for each app, or for each instance.
func (e *env) printApps(w io.Writer, l *appList, o lsOptions, some bool) error {
	apps := l.sorted(o.sort)
	if len(apps) == 0 && o.watch {
		return nil // there may be one soon
	}
	if len(apps) == 0 {
		e.note("no apps yet; clusterctl install NAME --listen 8080 -- PROGRAM makes one")
		return nil
	}
	if o.all || some {
		return e.instanceGrid(apps, o.noCPU).Write(w, e.width(), e.colours)
	}
	return e.appGrid(apps, o.noCPU).Write(w, e.width(), e.colours)
}

func (e *env) appGrid(apps []appStatus, noCPU bool) *text.Grid {
	g := &text.Grid{Columns: []text.Column{
		{Title: "NAME"}, {Title: "READY"}, {Title: "LISTEN", Drop: 8}, {Title: "QUEUE", Right: true, Drop: 2}, {Title: "CONNS", Right: true, Drop: 4},
		{Title: "CPU", Right: true, Drop: 5}, {Title: "MEM", Right: true, Drop: 6}, {Title: "RESTARTS", Right: true, Drop: 1},
		{Title: "UPTIME", Right: true, Drop: 7}, {Title: "STATE"}, {Title: "PROBLEM", Drop: 9, Cut: true},
	}}
	for _, a := range apps {
		g.Row(colourOf(a.State), 9, string(a.Name), fmt.Sprintf("%d/%d", a.Ready, a.Wanted), a.listenText(), a.Queue.String(),
			number(a.Connections), percent(a.CPU), size(a.Memory), fmt.Sprint(a.Restarts), e.age(a.Since), a.words(e.now()), oneLine(a.Problem))
	}
	if noCPU {
		g.Omit("CPU")
	}
	g.OmitEmptyLast()
	return g
}

func (e *env) instanceGrid(apps []appStatus, noCPU bool) *text.Grid {
	g := &text.Grid{Columns: []text.Column{
		{Title: "INSTANCE"}, {Title: "PID", Right: true, Drop: 7}, {Title: "CONNS", Right: true, Drop: 3}, {Title: "CPU", Right: true, Drop: 4},
		{Title: "MEM", Right: true, Drop: 5}, {Title: "RESTARTS", Right: true, Drop: 1}, {Title: "UPTIME", Right: true, Drop: 6},
		{Title: "STATE"}, {Title: "LAST EXIT", Drop: 2, Cut: true},
	}}
	for _, a := range apps {
		for _, i := range a.Instances {
			g.Row(colourOf(i.State), 7, strings.TrimSuffix(i.Unit, ".service"), pidText(i.PID), number(i.Connections), percent(i.CPU), size(i.Memory),
				fmt.Sprint(i.Restarts), e.age(i.Since), i.words(e.now()), oneLine(cmp.Or(i.LastExit, i.Problem)))
		}
		if len(a.Instances) == 0 && a.State == "unknown" {
			g.Row(text.Bad, 7, string(a.Name), "-", "-", "-", "-", "0", "-", a.State, oneLine(a.Problem))
		}
	}
	if noCPU {
		g.Omit("CPU")
	}
	g.OmitEmptyLast()
	return g
}

// listenText returns the addresses of an app, marked where an app without a listener listens by itself.
func (s appStatus) listenText() string {
	if len(s.Listen) == 0 && len(s.OwnListen) > 0 {
		return strings.Join(s.OwnListen, " ") + " (own)"
	}
	return orDash(strings.Join(s.Listen, " "))
}

func pidText(pid int) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprint(pid)
}

// oneLine puts the lines of a message behind each other.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// colourOf says how much attention a state needs.
func colourOf(state string) text.Colour {
	switch state {
	case "running":
		return text.Good
	case "degraded", "restarting", "starting", "stopping", "masked":
		return text.Warning
	case "failed", "gave up", "unknown":
		return text.Bad
	}
	return text.Plain
}

// optional formats a value that may be unknown, which is "-".
func optional[T any](v *T, format func(T) string) string {
	if v == nil {
		return "-"
	}
	return format(*v)
}

func size(n *int64) string { return optional(n, text.Size) }

func percent(v *float64) string {
	return optional(v, func(v float64) string {
		if v >= 99.95 {
			return fmt.Sprintf("%.0f%%", v)
		}
		return fmt.Sprintf("%.1f%%", v)
	})
}

func number(n *int) string { return optional(n, strconv.Itoa) }

func (q *queueStatus) String() string {
	if q == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", q.Depth, q.Limit)
}
