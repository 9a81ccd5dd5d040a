package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units/control"
)

type lsOptions struct {
	watchOptions
	all, noCPU bool
	sort       string
}

func lsCommand(e *env) *cmdline.Command {
	var o lsOptions
	o.sort = status.SortKeys[0]
	return &cmdline.Command{
		Name: "ls", Aliases: []string{"list", "l", "ps", "status"}, Usage: "List apps, or the instances of some apps",
		Operands: []cmdline.Operand{cmdline.OptionalApps()},
		Description: []string{
			"READY shows how many instances are ready, and how many are wanted. QUEUE shows how many connections wait for " +
				"accept(2), and the limit of the queue. CONNS is the number of accepted connections. CPU is the CPU time " +
				"during 200 ms, in percent of one CPU. MEM is the memory of the cgroup, or of the processes if the kernel " +
				"has no memory controller.",
			"Without root, ls prints \"-\" for values that only root can see. A narrow terminal omits columns.",
		},
		Examples: []string{"clusterctl ls", "clusterctl ls -a --sort cpu", "sudo clusterctl ls shop --watch"},
		Flags: append([]cmdline.Flag{
			{Name: "all", Short: "a", To: &o.all, Usage: "list the instances of every app"},
			{Name: "sort", To: &o.sort, Takes: "KEY", Words: status.SortKeys,
				Usage: "sort by name, cpu, memory, connections, restarts, uptime or state"},
			{Name: "no-cpu", To: &o.noCPU, Usage: "omit the CPU column, and do not wait for its figures"},
		}, o.watchOptions.flags()...),
		Run: bind(e, &o, runLs),
	}
}

func runLs(ctx context.Context, e *env, o lsOptions, in cmdline.Input) error {
	if !slices.Contains(status.SortKeys, o.sort) {
		bad := fault.Usagef("ls: unknown sort key %q", o.sort)
		return suggest(fault.WithHint(bad, "--sort %s", strings.Join(status.SortKeys, "|")), "sort", o.sort, status.SortKeys)
	}
	if err := o.check("ls"); err != nil {
		return err
	}
	args := in.Args
	if o.watch {
		return e.watch(ctx, args, o.watchOptions, o.noCPU, func(_ context.Context, _ *status.Collector, l *status.List) (view, error) {
			draw := func(w io.Writer) error { return e.printApps(w, l, o, len(args) > 0) }
			return view{[]any{list{Apps: l.Sorted(o.sort)}.withSchema()}, draw}, nil
		})
	}
	l, err := e.list(args)
	if err != nil {
		return err
	}
	if len(l.Known)+len(l.Problems) == 0 && !e.booted() {
		return control.ErrNoSystemd // without systemd and without files, no apps can be found
	}
	if len(l.Known) > 0 {
		conn, err := e.dial(ctx)
		if err != nil {
			return errors.Join(append(l.Problems, err)...)
		}
		defer conn.Close()
		c := e.collector(conn)
		c.NoCPU = o.noCPU
		if err := c.Collect(ctx, &l); err != nil {
			return errors.Join(append(l.Problems, err)...)
		}
	}
	var printErr error
	if o.asJSON {
		printErr = e.printList(list{Apps: l.Sorted(o.sort)})
	} else {
		printErr = e.printApps(e.stdout, &l, o, len(args) > 0)
		for _, a := range l.Apps {
			if len(a.Listen) == 0 && a.Wanted > 1 {
				e.noteOwnListeners(a.Name, a.OwnListen)
			}
		}
	}
	return errors.Join(append(l.Problems, printErr)...)
}

// The method list returns the apps whose names are in args, or all apps if args is empty.
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

func (e *env) collector(conn *control.Conn) *status.Collector {
	return &status.Collector{
		Conn: conn, Store: e.store, Host: e.host, Guard: e.guard(), Now: e.now,
		Target: e.manager(conn).Target,
	}
}
