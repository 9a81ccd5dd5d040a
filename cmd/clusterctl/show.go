package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
)

func showCommand(e *env) *cli.Command {
	var o watchOptions
	var revisions bool
	return &cli.Command{
		Name: "show", Aliases: []string{"describe", "info"}, Usage: "Show all there is to know about apps",
		UsageText: "show " + operandForms + " [--json] [--watch] [--revisions]",
		Description: "What is shown for people and not for --json alone is the same; see clusterctl(1) for each line. Needs no root; " +
			"without it, what only root may see is left out.\n\nEXAMPLE:\n   sudo clusterctl show shop",
		Flags: append(o.flags("an object per app"),
			&cli.BoolFlag{Name: "revisions", Usage: "the states that \"rollback\" can go back to; needs root", Destination: &revisions}),
		Action: func(c *cli.Context) error {
			args, err := operands(c, 1, -1, "the NAME of an app")
			if err != nil {
				return err
			}
			if revisions {
				if len(args) > 1 {
					return fault.WithHint(fault.Usagef("show: --revisions is for one app"), "clusterctl show %s --revisions", args[0])
				}
				return runRevisions(e, args[0], o.asJSON)
			}
			if err := o.check("show"); err != nil {
				return err
			}
			return runShow(c.Context, e, args, o)
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
