package main

import (
	"context"
	"io"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
)

func showCommand(e *env) *cmdline.Command {
	var o watchOptions
	var revisions bool
	return &cmdline.Command{
		Name: "show", Aliases: []string{"describe", "info"}, Usage: "Show everything about apps",
		Operands:    []cmdline.Operand{cmdline.Apps()},
		Description: []string{"clusterctl(1) explains each line. It needs no root; without root, it omits what only root can see."},
		Examples:    []string{"sudo clusterctl show shop"},
		Flags: append(o.flags(), cmdline.Flag{
			Name: "revisions", To: &revisions, Usage: "list the revisions that \"rollback\" can restore; needs root",
		}),
		Run: func(ctx context.Context, in cmdline.Input) error {
			if revisions {
				if len(in.Args) > 1 {
					return fault.WithHint(fault.Usagef("show: --revisions takes one app"), "clusterctl show %s --revisions", in.Args[0])
				}
				return runRevisions(e, in.Args[0], o.asJSON)
			}
			if err := o.check("show"); err != nil {
				return err
			}
			return runShow(ctx, e, in.Args, o)
		},
	}
}

func runShow(ctx context.Context, e *env, args []string, o watchOptions) error {
	if o.watch {
		return e.watch(ctx, args, o, false, func(ctx context.Context, c *status.Collector, l *status.List) (view, error) {
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

// show returns all there is to know about apps at this moment.
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
