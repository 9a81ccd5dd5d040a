package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// parseScaling parses "4", "+2", "-1", "max" or "50%".
func parseScaling(s string) (manage.Scaling, error) {
	invalid := fault.WithHint(fault.Usagef("invalid instance count %q", s), "use a number from 1 to %d, +2, -1, max, or 50%%",
		units.MaxInstances)
	sign := strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-")
	n, err := strconv.Atoi(s)
	switch {
	case sign && err != nil, sign && n == 0:
		return manage.Scaling{}, invalid
	case sign:
		return manage.Scaling{By: n}, nil
	case err == nil && n == 0:
		return manage.Scaling{}, fault.WithHint(fault.Usagef("an app cannot have 0 instances"),
			"\"clusterctl stop\" stops an app; \"max\" is one instance per CPU")
	}
	count, err := units.ParseCount(s)
	if err != nil {
		return manage.Scaling{}, invalid
	}
	return manage.Scaling{To: count}, nil
}

type scaleOptions struct {
	manage.ScaleOptions
	asJSON bool
}

func scaleCommand(e *env) *cmdline.Command {
	var o scaleOptions
	return &cmdline.Command{
		Name: "scale", Usage: "Change the number of instances of apps permanently",
		Operands: []cmdline.Operand{
			{Forms: []cmdline.Form{cmdline.Name}, Repeats: true}, {Forms: []cmdline.Form{"N", "+N", "-N", "max", "50%"}},
		},
		Description: []string{"Starts new instances and waits until they are ready. If an instance does not start, " +
			"clusterctl prints the reason and the last log lines, and the app keeps its old number. With a smaller number, " +
			"scale drains and stops the last instances. The number survives a reboot. A stopped app stays stopped."},
		Examples: []string{"sudo clusterctl scale shop 4", "sudo clusterctl scale shop +2", "sudo clusterctl scale shop max"},
		Flags:    []cmdline.Flag{settleFlag(&o.Settle), timeoutFlag(&o.Timeout), rollJSONFlag(&o.asJSON)},
		Run:      bind(e, &o, runScale),
	}
}

// runScale scales one app after the other. After an error it continues with the next app.
func runScale(ctx context.Context, e *env, o scaleOptions, in cmdline.Input) error {
	ctx = withoutHangup(ctx)
	names, last := in.Args[:len(in.Args)-1], in.Args[len(in.Args)-1]
	how, err := parseScaling(last)
	if err != nil {
		if _, e := parseScaling(names[0]); e == nil {
			err = fault.WithHint(fault.Usagef("the number must be the last argument"), "clusterctl scale %s %s", last, names[0])
		}
		return err
	}
	if err := (rollFlags{batch: 1, settle: o.Settle, timeout: o.Timeout}).check(); err != nil {
		return err
	}
	targets, err := e.targets(names)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(targets, func(t target) bool { return t.instance > 0 }); i >= 0 {
		return fault.WithHint(fault.Usagef("scale: %s is an instance, not an app", targets[i]),
			"clusterctl stop %s stops it", targets[i])
	}
	if err := e.needRoot(); err != nil {
		return err
	}
	results, err := withEngine(ctx, e, targets, func(m *manage.Manager, t target) (manage.ScaleResult, error) {
		r, err := m.Scale(ctx, t.app.Name, how, o.ScaleOptions)
		if err == nil {
			e.noteScaled(r)
		}
		return r, err
	})
	return withResults(e, results, err, o.asJSON)
}

func (e *env) noteScaled(r manage.ScaleResult) {
	switch instances := text.Count(r.To, "instance"); {
	case !r.Changed:
		e.note("%s already has %s (%s)", r.Name, instances, r.Count)
	case !r.Running:
		e.note("%s is stopped, and will start with %s", r.Name, instances)
	default:
		e.note("%s: scaled from %d to %s", r.Name, r.From, instances)
	}
}
