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
	"github.com/clusterctl/clusterctl/units/install"
)

// age returns the time since t, or "-" if t is nil.
func (e *env) age(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return text.Duration(e.now().Sub(*t))
}

// printApps prints a line for each app. With --all, or if the user named apps (the parameter named), it prints a line for
// each instance instead.
func (e *env) printApps(w io.Writer, l *status.List, o lsOptions, named bool) error {
	apps := l.Sorted(o.sort)
	if len(apps) == 0 && o.watch {
		return nil // the watch continues, and may print an app later
	}
	if len(apps) == 0 {
		e.note(install.NoAppsHint)
		return nil
	}
	g := e.appGrid(apps)
	if o.all || named {
		g = e.instanceGrid(apps)
	}
	if o.noCPU {
		g.Omit("CPU")
	}
	g.OmitEmptyLast()
	return g.Write(w, e.width(), e.colours)
}

func (e *env) appGrid(apps []status.App) *text.Grid {
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
	return g
}

func (e *env) instanceGrid(apps []status.App) *text.Grid {
	g := &text.Grid{Columns: append(instanceColumns(), text.Column{Title: "LAST EXIT", Drop: 2, Cut: true})}
	for _, a := range apps {
		for _, i := range a.Instances {
			g.Row(colourOf(i.State), 7, append(e.instanceCells(i), oneLine(cmp.Or(i.LastExit, i.Problem)))...)
		}
		if len(a.Instances) == 0 && a.State == "unknown" {
			g.Row(text.Bad, 7, string(a.Name), "-", "-", "-", "-", "0", "-", a.State, oneLine(a.Problem))
		}
	}
	return g
}

// instanceColumns returns the columns that the instance tables of "ls" and "show" have in common.
func instanceColumns() []text.Column {
	return []text.Column{
		{Title: "INSTANCE"}, {Title: "PID", Right: true, Drop: 7}, {Title: "CONNS", Right: true, Drop: 3},
		{Title: "CPU", Right: true, Drop: 4}, {Title: "MEM", Right: true, Drop: 5}, {Title: "RESTARTS", Right: true, Drop: 1},
		{Title: "UPTIME", Right: true, Drop: 6}, {Title: "STATE"},
	}
}

func (e *env) instanceCells(i status.Instance) []string {
	return []string{
		strings.TrimSuffix(i.Unit, ".service"), pidText(i.PID), number(i.Connections), percent(i.CPU), size(i.Memory),
		fmt.Sprint(i.Restarts), e.age(i.Since), i.Words(e.now()),
	}
}

// listenText returns the addresses of an app. If the app has no listener, it returns the addresses that the instances opened
// themselves, with "(own)".
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

// oneLine joins the lines of a message with semicolons.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

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

// The function optional formats a value, or returns "-" for nil.
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

func (e *env) printAll(w io.Writer, all []status.Details) error {
	for i, d := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := e.printDetails(w, d); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) printDetails(w io.Writer, d status.Details) error {
	g := &text.Grid{Columns: make([]text.Column, 2)}
	line := func(c text.Colour, name string, values ...string) {
		for i, v := range values {
			if i > 0 {
				name = ""
			}
			g.Row(c, 1, name, v)
		}
	}
	e.stateLines(d, line)
	e.useLines(d, line)
	line(text.Plain, "command", text.Printable(text.ShellLine(d.Command)))
	line(text.Plain, "directory", cmp.Or(d.Directory, "-"))
	line(text.Plain, "runs as", d.RunAs)
	line(text.Plain, "ready when", d.Ready)
	line(text.Plain, "restart", d.Restart)
	line(text.Plain, "sandbox", d.Sandbox)
	line(text.Plain, "config", d.Config)
	line(text.Plain, "slice", d.Slice)
	e.fileLines(d, line)
	// Width 0 means that Write does not shorten the values.
	if err := g.Write(w, 0, e.colours); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return e.detailGrid(d.Instances).Write(w, e.width(), e.colours)
}

type printLine func(c text.Colour, name string, values ...string)

func (e *env) stateLines(d status.Details, line printLine) {
	line(text.Plain, "name", string(d.Name))
	line(colourOf(d.State), "state", d.Words(e.now()))
	if d.Problem != "" {
		line(text.Bad, "problem", text.Printable(d.Problem))
	}
	line(text.Plain, "instances", fmt.Sprintf("%d of %d ready (asked for: %s)", d.App.Ready, d.Wanted, d.Count))
	if d.Boot {
		line(text.Plain, "at boot", "starts")
	} else {
		line(text.Warning, "at boot", "does not start (systemctl enable "+string(d.Name)+")")
	}
	own := strings.Join(d.OwnListen, " ") + ", each instance for itself"
	switch {
	case len(d.Listeners) == 0 && len(d.OwnListen) > 0:
		line(text.Warning, "listens on", own+" (to share the address: install the app with --listen "+d.OwnListen[0]+")")
	case len(d.Listeners) == 0:
		line(text.Plain, "listens on", "-")
	case len(d.OwnListen) > 0:
		defer line(text.Plain, "and on", own)
	}
	for i, l := range d.Listeners {
		name, c, where := "listens on", text.Plain, l.Listen
		if i > 0 {
			name = ""
		}
		if l.State != "listening" {
			c, where = text.Warning, where+" ("+l.State+")"
		}
		if l.Queue != nil {
			where += fmt.Sprintf(", %d waiting of at most %d", l.Queue.Depth, l.Queue.Limit)
		}
		line(c, name, where)
	}
}

func (e *env) useLines(d status.Details, line printLine) {
	if d.Connections != nil {
		count := fmt.Sprint(*d.Connections)
		if b := d.Balance; b != nil && *d.Connections > 0 {
			count += fmt.Sprintf(", at most %d in one instance (max/mean %.2f)", b.Max, b.MaxMean)
		}
		line(text.Plain, "connections", count)
	}
	line(text.Plain, "cpu", percent(d.CPU))
	memory := size(d.Memory)
	if d.Memory != nil {
		memory += " (" + memoryWords(d.Source) + ")"
	}
	line(text.Plain, "memory", memory)
	line(text.Plain, "limits", d.Limits.String())
	line(text.Plain, "restarts", fmt.Sprint(d.Restarts))
}

// memoryWords returns a text that explains which memory the figure of an app includes. The parameter source names the source
// of the figure: "cgroup", "pss" or "rss".
func memoryWords(source string) string {
	return map[string]string{
		"cgroup": "of the cgroups", "pss": "of the processes, shared memory divided",
		"rss": "of the processes, shared memory counted in each",
	}[source]
}

func (e *env) fileLines(d status.Details, line printLine) {
	dropIns := d.DropIns
	if len(dropIns) == 0 {
		dropIns = []string{"none"}
	}
	line(text.Plain, "drop-ins", dropIns...)
	var files []string
	for _, f := range d.Drift {
		files = append(files, f.What+": "+f.Path)
	}
	switch {
	case d.DriftUnknown != "":
		line(text.Warning, "drift", "unknown: "+text.Printable(d.DriftUnknown))
	case len(files) > 0:
		line(text.Warning, "drift", files...)
	default:
		line(text.Plain, "drift", "none, the files are as clusterctl wrote them")
	}
	for _, p := range d.Unsafe {
		line(text.Bad, "unsafe", text.Printable(p.Noun()+" "+p.Path+": "+p.Who()))
	}
	if len(d.NeedReload) > 0 {
		line(text.Warning, "not yet read", strings.Join(d.NeedReload, " ")+" (sudo systemctl daemon-reload)")
	}
	switch {
	case d.Suppressed == nil:
	case *d.Suppressed > 0:
		line(text.Warning, "log lines lost",
			fmt.Sprintf("%d since boot, because of the rate limit of the journal", *d.Suppressed), logRateAdvice)
	default:
		line(text.Plain, "log lines lost", "none since boot")
	}
}

func (e *env) detailGrid(instances []status.Instance) *text.Grid {
	g := &text.Grid{Columns: append(instanceColumns(),
		text.Column{Title: "STATUS", Drop: 8}, text.Column{Title: "LAST EXIT", Drop: 2, Cut: true})}
	for _, i := range instances {
		g.Row(colourOf(i.State), 7,
			append(e.instanceCells(i), cmp.Or(i.Status, "-"), cmp.Or(i.LastExit, i.Problem, "-"))...)
	}
	return g
}
