package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// lsOptions are the flags of "ls".
type lsOptions struct {
	watchOptions
	all, noCPU bool
	sort       string
}

const lsDescription = `READY is how many instances run, of how many should. QUEUE is how many connections wait to be accepted, and how many
may. CONNS are the connections that have been accepted. CPU is in percent of one CPU, over 200 ms. MEM is that of the
whole cgroup, or, where the memory controller is not there, of its processes. Needs no root; without it, "-" stands for what
only root may see. On a narrow terminal columns are left out.

EXAMPLES:
   clusterctl ls
   clusterctl ls -a --sort cpu
   sudo clusterctl ls shop --watch`

func lsCommand(e *env) *cli.Command {
	var o lsOptions
	return &cli.Command{
		Name: "ls", Aliases: []string{"list", "l", "ps", "status"}, Usage: "List the apps, or the instances of some",
		UsageText: "ls [" + operandForms + "] [-a] [--json] [--watch]", Description: lsDescription,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "list the instances of every app, as \"ls NAME\" does for one", Destination: &o.all},
			&cli.StringFlag{Name: "sort", Value: sortNames[0], Usage: "sort by `KEY`: " + strings.Join(sortNames, ", "), Destination: &o.sort},
			&cli.BoolFlag{Name: "no-cpu", Usage: "leave the CPU use out, and do not wait for it", Destination: &o.noCPU},
		}, o.watchOptions.flags("{\"schema\": 1, \"apps\": […]}")...),
		Action: func(c *cli.Context) error {
			args, err := operands(c, 0, -1, "")
			if err != nil {
				return err
			}
			if !slices.Contains(sortNames, o.sort) {
				bad := fault.Usagef("ls: there is no sort key %q", o.sort)
				return meant("sort", o.sort, fault.WithHint(bad, "--sort %s", strings.Join(sortNames, "|")))
			}
			if err := o.check("ls"); err != nil {
				return err
			}
			return runLs(c.Context, e, args, o)
		},
	}
}

func runLs(ctx context.Context, e *env, args []string, o lsOptions) error {
	if o.watch {
		return e.watch(ctx, args, o.watchOptions, !o.noCPU, func(_ context.Context, _ *control.Conn, l *appList) (view, error) {
			return view{[]any{l.document(o.sort)}, func(w io.Writer) error { return e.printApps(w, l, o, len(args) > 0) }}, nil
		})
	}
	list, err := e.list(args)
	if err != nil {
		return err
	}
	if len(list.known)+len(list.problems) == 0 && !e.booted() {
		return control.ErrNoSystemd // "no apps yet" would be no answer
	}
	if len(list.known) > 0 {
		conn, err := e.dial(ctx)
		if err != nil {
			return errors.Join(append(list.problems, err)...)
		}
		defer conn.Close()
		var m *meter
		if !o.noCPU {
			m = e.newMeter()
			m.begin(list.known)
		}
		states, err := conn.States(ctx, list.units())
		if err != nil {
			return errors.Join(append(list.problems, err)...)
		}
		if err := e.fill(ctx, m, &list, states); err != nil {
			return err
		}
	}
	var printErr error
	if o.asJSON {
		printErr = e.printJSON(list.document(o.sort))
	} else {
		printErr = e.printApps(e.stdout, &list, o, len(args) > 0)
		for _, a := range list.apps {
			if len(a.Listen) == 0 && a.Wanted > 1 {
				e.noteOwnListeners(a.Name, a.OwnListen)
			}
		}
	}
	return errors.Join(append(list.problems, printErr)...)
}

// listedApp is an app and how many instances its aggregate names.
type listedApp struct {
	app    units.App
	listed int
	// only are the instances that were asked for; none means all.
	only []int
}

func (e *env) loadListed(n units.Name) (a listedApp, err error) {
	if a.app, err = e.store.Load(n); err == nil {
		a.listed, err = e.listed(n)
	}
	return a, err
}

// appList is what is to be listed, and after fill what there is to be said.
type appList struct {
	known []listedApp
	// states, facts and apps are in the order of known.
	states   [][]control.State
	facts    []facts
	apps     []appStatus
	broken   []appStatus
	problems []error
}

// list finds the apps that operands name, all without any. One app whose files are damaged must not hide the others: it
// is listed, and what is wrong is the error at the end.
func (e *env) list(args []string) (l appList, err error) {
	if len(args) > 0 {
		targets, err := e.targets(args)
		if err != nil {
			return l, err
		}
		for _, t := range targets {
			l.add(t)
		}
		return l, nil
	}
	names, err := e.store.Apps()
	if err != nil {
		return l, err
	}
	for _, n := range names {
		a, err := e.loadListed(n)
		var gone *install.NotInstalledError
		switch {
		case err == nil:
			l.known = append(l.known, a)
		case errors.As(err, &gone): // uninstalled at this moment
		default:
			l.broken = append(l.broken, appStatus{Name: n, State: "unknown", Problem: err.Error(), Listen: []string{}, Instances: []instanceStatus{}})
			l.problems = append(l.problems, err)
		}
	}
	return l, nil
}

// add takes an operand; an app that is named twice is listed once.
func (l *appList) add(t target) {
	i := slices.IndexFunc(l.known, func(a listedApp) bool { return a.app.Name == t.app.Name })
	switch {
	case i < 0:
		a := listedApp{app: t.app, listed: t.listed}
		if t.instance > 0 {
			a.only = []int{t.instance}
		}
		l.known = append(l.known, a)
	case t.instance == 0:
		l.known[i].only = nil
	case l.known[i].only != nil:
		l.known[i].only = append(l.known[i].only, t.instance)
	}
}

// units are those of all the apps, in their order.
func (l *appList) units() []string {
	var all []string
	for _, a := range l.known {
		all = append(all, unitsOf(a.app, a.listed)...)
	}
	return all
}

// fill turns the states of units into the status of each app.
func (e *env) fill(ctx context.Context, m *meter, l *appList, states []control.State) error {
	l.states, l.apps = nil, nil
	for _, a := range l.known {
		n := len(unitsOf(a.app, a.listed))
		l.states, states = append(l.states, states[:n]), states[n:]
	}
	var err error
	if l.facts, err = e.measure(ctx, m, l.known, l.states); err != nil {
		return err
	}
	for i, a := range l.known {
		s := summarise(a.app, l.states[i], l.facts[i])
		if a.only != nil {
			s.Instances = slices.DeleteFunc(s.Instances, func(i instanceStatus) bool { return !slices.Contains(a.only, i.Instance) })
		}
		l.apps = append(l.apps, s)
	}
	return nil
}

// document is what --json prints.
func (l *appList) document(by string) any {
	return struct {
		Schema int         `json:"schema"`
		Apps   []appStatus `json:"apps"`
	}{schemaVersion, l.sorted(by)}
}
