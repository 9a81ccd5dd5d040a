package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
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
			&cli.StringFlag{Name: "sort", Value: status.SortKeys[0], Usage: "sort by `KEY`: " + strings.Join(status.SortKeys, ", "), Destination: &o.sort},
			&cli.BoolFlag{Name: "no-cpu", Usage: "leave the CPU use out, and do not wait for it", Destination: &o.noCPU},
		}, o.watchOptions.flags("{\"schema\": 1, \"apps\": […]}")...),
		Action: func(c *cli.Context) error {
			args, err := operands(c, 0, -1, "")
			if err != nil {
				return err
			}
			if !slices.Contains(status.SortKeys, o.sort) {
				bad := fault.Usagef("ls: there is no sort key %q", o.sort)
				return meant("sort", o.sort, fault.WithHint(bad, "--sort %s", strings.Join(status.SortKeys, "|")))
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
		return e.watch(ctx, args, o.watchOptions, o.noCPU, func(_ context.Context, _ *status.Collector, l *status.List) (view, error) {
			return view{[]any{appsDocument(l, o.sort)}, func(w io.Writer) error { return e.printApps(w, l, o, len(args) > 0) }}, nil
		})
	}
	list, err := e.list(args)
	if err != nil {
		return err
	}
	if len(list.Known)+len(list.Problems) == 0 && !e.booted() {
		return control.ErrNoSystemd // "no apps yet" would be no answer
	}
	if len(list.Known) > 0 {
		conn, err := e.dial(ctx)
		if err != nil {
			return errors.Join(append(list.Problems, err)...)
		}
		defer conn.Close()
		c := e.collector(conn)
		c.NoCPU = o.noCPU
		if err := c.Collect(ctx, &list); err != nil {
			return errors.Join(append(list.Problems, err)...)
		}
	}
	var printErr error
	if o.asJSON {
		printErr = e.printJSON(appsDocument(&list, o.sort))
	} else {
		printErr = e.printApps(e.stdout, &list, o, len(args) > 0)
		for _, a := range list.Apps {
			if len(a.Listen) == 0 && a.Wanted > 1 {
				e.noteOwnListeners(a.Name, a.OwnListen)
			}
		}
	}
	return errors.Join(append(list.Problems, printErr)...)
}

// list returns the apps that operands name, all without any.
func (e *env) list(args []string) (l status.List, err error) {
	if len(args) == 0 {
		return status.All(e.store)
	}
	targets, err := e.targets(args)
	for _, t := range targets {
		l.Add(t.app, t.listed, t.instance)
	}
	return l, err
}

// collector returns what finds out the state of apps.
func (e *env) collector(conn *control.Conn) *status.Collector {
	return &status.Collector{
		Conn: conn, Store: e.store, Host: e.host, Guard: e.guard(), Now: e.now,
		Target: func(ctx context.Context, a units.App) (units.Target, error) {
			t, _, err := e.thisMachine(ctx, conn, a)
			return t, err
		},
	}
}

// appsDocument returns what --json prints.
func appsDocument(l *status.List, by string) any {
	return struct {
		Schema int          `json:"schema"`
		Apps   []status.App `json:"apps"`
	}{status.SchemaVersion, l.Sorted(by)}
}
