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

// age returns the time since t, or "-" if t is nil.
func (e *env) age(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return text.Duration(e.now().Sub(*t))
}

// printApps prints a line for each app, or for each instance if some apps were named.
func (e *env) printApps(w io.Writer, l *status.List, o lsOptions, some bool) error {
	apps := l.Sorted(o.sort)
	if len(apps) == 0 && o.watch {
		return nil // an app may be installed soon
	}
	if len(apps) == 0 {
		e.note(noAppsHint)
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
	g := &text.Grid{Columns: append(instanceColumns(), text.Column{Title: "LAST EXIT", Drop: 2, Cut: true})}
	for _, a := range apps {
		for _, i := range a.Instances {
			g.Row(colourOf(i.State), 7, append(e.instanceCells(i), oneLine(cmp.Or(i.LastExit, i.Problem)))...)
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

// instanceColumns returns the columns that "ls" and "show" have in common for instances.
func instanceColumns() []text.Column {
	return []text.Column{
		{Title: "INSTANCE"}, {Title: "PID", Right: true, Drop: 7}, {Title: "CONNS", Right: true, Drop: 3},
		{Title: "CPU", Right: true, Drop: 4}, {Title: "MEM", Right: true, Drop: 5}, {Title: "RESTARTS", Right: true, Drop: 1},
		{Title: "UPTIME", Right: true, Drop: 6}, {Title: "STATE"},
	}
}

// instanceCells returns the values of instanceColumns.
func (e *env) instanceCells(i status.Instance) []string {
	return []string{
		strings.TrimSuffix(i.Unit, ".service"), pidText(i.PID), number(i.Connections), percent(i.CPU), size(i.Memory),
		fmt.Sprint(i.Restarts), e.age(i.Since), i.Words(e.now()),
	}
}

// listenText returns the addresses of an app. "(own)" marks addresses that an app without a listener opens itself.
func listenText(s status.App) string {
	if len(s.Listen) == 0 && len(s.OwnListen) > 0 {
		return strings.Join(s.OwnListen, " ") + " (own)"
	}
	return cmp.Or(strings.Join(s.Listen, " "), "-")
}

func pidText(pid int) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprint(pid)
}

// oneLine joins the lines of a message.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// colourOf returns the colour of a state.
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

// optional formats a value, or returns "-" for nil.
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
