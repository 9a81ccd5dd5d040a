package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
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
	return short(e.now().Sub(*t))
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
		return e.instanceGrid(apps, o.noCPU).write(w, e.width(), e.colours)
	}
	return e.appGrid(apps, o.noCPU).write(w, e.width(), e.colours)
}

func (e *env) appGrid(apps []appStatus, noCPU bool) *grid {
	g := &grid{columns: []column{
		{title: "NAME"}, {title: "READY"}, {title: "LISTEN", drop: 8}, {title: "QUEUE", right: true, drop: 2}, {title: "CONNS", right: true, drop: 4},
		{title: "CPU", right: true, drop: 5}, {title: "MEM", right: true, drop: 6}, {title: "RESTARTS", right: true, drop: 1},
		{title: "UPTIME", right: true, drop: 7}, {title: "STATE"}, {title: "PROBLEM", drop: 9, cut: true},
	}}
	for _, a := range apps {
		g.row(colourOf(a.State), 9, string(a.Name), fmt.Sprintf("%d/%d", a.Ready, a.Wanted), a.listenText(), a.Queue.String(),
			number(a.Connections), percent(a.CPU), size(a.Memory), fmt.Sprint(a.Restarts), e.age(a.Since), a.words(e.now()), oneLine(a.Problem))
	}
	return g.without(noCPU)
}

func (e *env) instanceGrid(apps []appStatus, noCPU bool) *grid {
	g := &grid{columns: []column{
		{title: "INSTANCE"}, {title: "PID", right: true, drop: 7}, {title: "CONNS", right: true, drop: 3}, {title: "CPU", right: true, drop: 4},
		{title: "MEM", right: true, drop: 5}, {title: "RESTARTS", right: true, drop: 1}, {title: "UPTIME", right: true, drop: 6},
		{title: "STATE"}, {title: "LAST EXIT", drop: 2, cut: true},
	}}
	for _, a := range apps {
		for _, i := range a.Instances {
			g.row(colourOf(i.State), 7, strings.TrimSuffix(i.Unit, ".service"), pidText(i.PID), number(i.Connections), percent(i.CPU), size(i.Memory),
				fmt.Sprint(i.Restarts), e.age(i.Since), i.words(e.now()), oneLine(cmp.Or(i.LastExit, i.Problem)))
		}
		if len(a.Instances) == 0 && a.State == "unknown" {
			g.row(bad, 7, string(a.Name), "-", "-", "-", "-", "0", "-", a.State, oneLine(a.Problem))
		}
	}
	return g.without(noCPU)
}

// listenText returns the addresses of an app, marked where an app without a listener listens by itself.
func (s appStatus) listenText() string {
	if len(s.Listen) == 0 && len(s.OwnListen) > 0 {
		return strings.Join(s.OwnListen, " ") + " (own)"
	}
	return orDash(strings.Join(s.Listen, " "))
}

// without leaves columns out that were not measured, and the last one where it says nothing.
func (g *grid) without(noCPU bool) *grid {
	last := len(g.columns) - 1
	drop := func(i int) bool {
		return noCPU && g.columns[i].title == "CPU" ||
			i == last && !slices.ContainsFunc(g.rows, func(r []word) bool { return r[last].text != "" })
	}
	out := &grid{}
	for i, c := range g.columns {
		if !drop(i) {
			out.columns = append(out.columns, c)
		}
	}
	for _, r := range g.rows {
		var kept []word
		for i, w := range r {
			if !drop(i) {
				kept = append(kept, w)
			}
		}
		out.rows = append(out.rows, kept)
	}
	return out
}

func pidText(pid int) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprint(pid)
}

// oneLine puts the lines of a message behind each other.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
