package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
)

// age is the time since t, or "-" when there is none.
func (e *env) age(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return text.Duration(e.now().Sub(*t))
}

// printApps prints a line for each app, or for each instance.
func (e *env) printApps(w io.Writer, l *status.List, o lsOptions, some bool) error {
	apps := l.Sorted(o.sort)
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

func (e *env) appGrid(apps []status.App, noCPU bool) *text.Grid {
	g := &text.Grid{Columns: []text.Column{
		{Title: "NAME"}, {Title: "READY"}, {Title: "LISTEN", Drop: 8}, {Title: "QUEUE", Right: true, Drop: 2},
		{Title: "CONNS", Right: true, Drop: 4},
		{Title: "CPU", Right: true, Drop: 5}, {Title: "MEM", Right: true, Drop: 6}, {Title: "RESTARTS", Right: true, Drop: 1},
		{Title: "UPTIME", Right: true, Drop: 7}, {Title: "STATE"}, {Title: "PROBLEM", Drop: 9, Cut: true},
	}}
	for _, a := range apps {
		g.Row(colourOf(a.State), 9, string(a.Name), fmt.Sprintf("%d/%d", a.Ready, a.Wanted), listenText(a), a.Queue.String(),
			number(a.Connections), percent(a.CPU), size(a.Memory), fmt.Sprint(a.Restarts), e.age(a.Since), a.Words(e.now()),
			oneLine(a.Problem))
	}
	if noCPU {
		g.Omit("CPU")
	}
	g.OmitEmptyLast()
	return g
}

func (e *env) instanceGrid(apps []status.App, noCPU bool) *text.Grid {
	g := &text.Grid{Columns: []text.Column{
		{Title: "INSTANCE"}, {Title: "PID", Right: true, Drop: 7}, {Title: "CONNS", Right: true, Drop: 3},
		{Title: "CPU", Right: true, Drop: 4},
		{Title: "MEM", Right: true, Drop: 5}, {Title: "RESTARTS", Right: true, Drop: 1}, {Title: "UPTIME", Right: true, Drop: 6},
		{Title: "STATE"}, {Title: "LAST EXIT", Drop: 2, Cut: true},
	}}
	for _, a := range apps {
		for _, i := range a.Instances {
			g.Row(colourOf(i.State), 7, strings.TrimSuffix(i.Unit, ".service"), pidText(i.PID), number(i.Connections),
				percent(i.CPU), size(i.Memory),
				fmt.Sprint(i.Restarts), e.age(i.Since), i.Words(e.now()), oneLine(cmp.Or(i.LastExit, i.Problem)))
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
func listenText(s status.App) string {
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
