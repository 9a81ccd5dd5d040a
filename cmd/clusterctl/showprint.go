package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// printAll prints app after app.
func (e *env) printAll(w io.Writer, all []appDetails) error {
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

func (e *env) printDetails(w io.Writer, d appDetails) error {
	g := &grid{columns: make([]column, 2)}
	line := func(c colour, name string, values ...string) {
		for i, v := range values {
			if i > 0 {
				name = ""
			}
			g.row(c, 1, name, v)
		}
	}
	e.stateLines(d, line)
	e.useLines(d, line)
	words := make([]string, 0, len(d.Command))
	for _, one := range d.Command {
		words = append(words, printable(shellWord(one)))
	}
	line(plainColour, "command", strings.Join(words, " "))
	line(plainColour, "directory", orDash(d.Directory))
	line(plainColour, "runs as", d.RunAs)
	line(plainColour, "ready when", d.Ready)
	line(plainColour, "restart", d.Restart)
	line(plainColour, "sandbox", d.Sandbox)
	line(plainColour, "config", d.Config)
	line(plainColour, "slice", d.Slice)
	e.fileLines(d, line)
	// Nothing is cut here: the values are long, and looked for.
	if err := g.write(w, 0, e.colours); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return e.detailGrid(d.Instances).write(w, e.width(), e.colours)
}

type printLine func(c colour, name string, values ...string)

func (e *env) stateLines(d appDetails, line printLine) {
	line(plainColour, "name", string(d.Name))
	line(colourOf(d.State), "state", d.words(e.now()))
	if d.Problem != "" {
		line(bad, "problem", printable(d.Problem))
	}
	line(plainColour, "instances", fmt.Sprintf("%d of %d ready (asked for: %s)", d.appStatus.Ready, d.Wanted, d.Count))
	if d.Boot {
		line(plainColour, "at boot", "starts")
	} else {
		line(warning, "at boot", "does not start (systemctl enable "+string(d.Name)+")")
	}
	own := strings.Join(d.OwnListen, " ") + ", each instance for itself"
	switch {
	case len(d.Listeners) == 0 && len(d.OwnListen) > 0:
		line(warning, "listens on", own+" (to share it: install it with --listen "+d.OwnListen[0]+")")
	case len(d.Listeners) == 0:
		line(plainColour, "listens on", "-")
	case len(d.OwnListen) > 0:
		defer line(plainColour, "and on", own)
	}
	for i, l := range d.Listeners {
		name, c, text := "listens on", plainColour, l.Listen
		if i > 0 {
			name = ""
		}
		if l.State != "listening" {
			c, text = warning, text+" ("+l.State+")"
		}
		if l.Queue != nil {
			text += fmt.Sprintf(", %d waiting of at most %d", l.Queue.Depth, l.Queue.Limit)
		}
		line(c, name, text)
	}
}

func (e *env) useLines(d appDetails, line printLine) {
	if d.Connections != nil {
		text := fmt.Sprint(*d.Connections)
		if b := d.Balance; b != nil && *d.Connections > 0 {
			text += fmt.Sprintf(", at most %d in one instance (max/mean %.2f)", b.Max, b.MaxMean)
		}
		line(plainColour, "connections", text)
	}
	line(plainColour, "cpu", percent(d.CPU))
	memory := size(d.Memory)
	if d.Memory != nil {
		memory += " (" + memoryWords(d.Source) + ")"
	}
	line(plainColour, "memory", memory)
	line(plainColour, "limits", d.Limits.String())
	line(plainColour, "restarts", fmt.Sprint(d.Restarts))
}

// memoryWords says what a number of bytes counts.
func memoryWords(source string) string {
	return map[string]string{
		"cgroup": "of the cgroups", "pss": "of the processes, what they share divided", "rss": "of the processes, what they share counted in each",
	}[source]
}

func (e *env) fileLines(d appDetails, line printLine) {
	line(plainColour, "drop-ins", orNone(d.DropIns)...)
	var files []string
	for _, f := range d.Drift {
		files = append(files, f.What+": "+f.Path)
	}
	switch {
	case d.DriftUnknown != "":
		line(warning, "drift", "not known: "+printable(d.DriftUnknown))
	case len(files) > 0:
		line(warning, "drift", files...)
	default:
		line(plainColour, "drift", "none, the files are as clusterctl writes them")
	}
	for _, p := range d.Unsafe {
		line(bad, "unsafe", printable(p.noun()+" "+p.Path+": "+p.who()))
	}
	if len(d.NeedReload) > 0 {
		line(warning, "not yet read", strings.Join(d.NeedReload, " ")+" (sudo systemctl daemon-reload)")
	}
	switch {
	case d.Suppressed == nil:
	case *d.Suppressed > 0:
		line(warning, "log lines lost", fmt.Sprintf("%d since boot, by the rate limit of the journal", *d.Suppressed), logRateAdvice)
	default:
		line(plainColour, "log lines lost", "none since boot")
	}
}

func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{"none"}
	}
	return list
}

func (e *env) detailGrid(instances []instanceStatus) *grid {
	g := &grid{columns: []column{
		{title: "INSTANCE"}, {title: "PID", right: true, drop: 7}, {title: "CONNS", right: true, drop: 3}, {title: "CPU", right: true, drop: 4},
		{title: "MEM", right: true, drop: 5}, {title: "RESTARTS", right: true, drop: 1}, {title: "UPTIME", right: true, drop: 6},
		{title: "STATE"}, {title: "STATUS", drop: 8}, {title: "LAST EXIT", drop: 2, cut: true},
	}}
	for _, i := range instances {
		g.row(colourOf(i.State), 7, strings.TrimSuffix(i.Unit, ".service"), pidText(i.PID), number(i.Connections), percent(i.CPU), size(i.Memory),
			fmt.Sprint(i.Restarts), e.age(i.Since), i.words(e.now()), orDash(i.Status), orDash(cmp.Or(i.LastExit, i.Problem)))
	}
	return g
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
