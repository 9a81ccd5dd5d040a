package main

import (
	"context"
	"io"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
)

type showOptions struct {
	watchOptions
	revisions bool
}

func showCommand(e *env) *cmdline.Command {
	var o showOptions
	return &cmdline.Command{
		Name: "show", Aliases: []string{"describe", "info"}, Usage: "Show everything about apps",
		Operands:    []cmdline.Operand{cmdline.Apps()},
		Description: []string{"clusterctl(1) explains each line. Without root, show omits lines that only root can see."},
		Examples:    []string{"sudo clusterctl show shop"},
		Flags: append(o.flags(), cmdline.Flag{
			Name: "revisions", To: &o.revisions, Usage: "list the revisions that \"rollback\" can restore; needs root",
		}),
		Run: bind(e, &o, runShow),
	}
}

func runShow(ctx context.Context, e *env, o showOptions, in cmdline.Input) error {
	args := in.Args
	if o.revisions {
		if len(args) > 1 {
			return fault.WithHint(fault.Usagef("show: --revisions takes one app"), "clusterctl show %s --revisions", args[0])
		}
		return e.showRevisions(args[0], o.asJSON)
	}
	if err := o.check("show"); err != nil {
		return err
	}
	if o.watch {
		return e.watch(ctx, args, o.watchOptions, false, func(ctx context.Context, c *status.Collector, l *status.List) (view, error) {
			all, err := c.Details(ctx, l)
			return view{documents(all), func(w io.Writer) error { return e.printAll(w, all) }}, err
		})
	}
	all, err := e.show(ctx, args)
	if err != nil {
		return err
	}
	if !o.asJSON {
		return e.printAll(e.stdout, all)
	}
	for _, d := range all {
		if err := e.printJSON(d); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) show(ctx context.Context, args []string) ([]status.Details, error) {
	list, err := e.list(args)
	if err != nil {
		return nil, err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c := e.collector(conn)
	if err := c.Collect(ctx, &list); err != nil {
		return nil, err
	}
	return c.Details(ctx, &list)
}

func documents(all []status.Details) []any {
	var docs []any
	for _, d := range all {
		docs = append(docs, d)
	}
	return docs
}
