package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// scaling is what the last operand of "scale" asks for.
type scaling struct {
	// by is relative, +2 or -1; when it is 0, to is the number.
	by int
	to units.Count
}

// parseScaling reads "4", "+2", "-1", "max" or "50%".
func parseScaling(s string) (scaling, error) {
	const hint = "use a number, +2, -1, max, or 50%"
	sign := strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-")
	n, err := strconv.Atoi(s)
	switch {
	case sign && err != nil, sign && n == 0:
		return scaling{}, fault.WithHint(fault.Usagef("%q is no number of instances", s), "%s", hint)
	case sign:
		return scaling{by: n}, nil
	case err == nil && n == 0:
		return scaling{}, fault.WithHint(fault.Usagef("an app cannot have 0 instances"), "\"clusterctl stop\" stops it; \"max\" is one per CPU")
	}
	count, err := units.ParseCount(s)
	var field *units.FieldError
	if errors.As(err, &field) {
		return scaling{}, fault.WithHint(fault.Usagef("%q is no number of instances (1-%d)", s, units.MaxInstances), "%s", hint)
	}
	return scaling{to: count}, err
}

// count is the new number for an app that has now instances.
func (s scaling) count(n units.Name, now int) (units.Count, error) {
	if s.by == 0 {
		return s.to, nil
	}
	switch to := now + s.by; {
	case to < 1:
		return units.Count{}, fault.WithHint(fault.Usagef("%s has %d; %+d would leave none", n, now, s.by), "clusterctl stop %s", n)
	case to > units.MaxInstances:
		return units.Count{}, fault.Usagef("%s has %d; %+d would be more than %d", n, now, s.by, units.MaxInstances)
	default:
		return units.Count{N: to}, nil
	}
}

type scaleFlags struct {
	settle, timeout time.Duration
	asJSON          bool
}

func scaleCommand(e *env) *cmdline.Command {
	var o scaleFlags
	return &cmdline.Command{
		Name: "scale", Usage: "Change the number of instances of apps permanently",
		Operands: []cmdline.Operand{
			{Forms: []cmdline.Form{cmdline.Name}, Repeats: true}, {Forms: []cmdline.Form{"N", "+N", "-N", "max", "50%"}},
		},
		Description: []string{"Starts new instances and waits until they are ready. If an instance does not start, clusterctl prints the " +
			"reason and the last log lines, and the app keeps its old number. Scaling down drains and stops the last instances. " +
			"The number survives a reboot. A stopped app stays stopped."},
		Examples: []string{"sudo clusterctl scale shop 4", "sudo clusterctl scale shop +2", "sudo clusterctl scale shop max"},
		Flags:    []cmdline.Flag{settleFlag(&o.settle), timeoutFlag(&o.timeout), rollJSONFlag(&o.asJSON)},
		Run: func(ctx context.Context, in cmdline.Input) error {
			names, last := in.Args[:len(in.Args)-1], in.Args[len(in.Args)-1]
			how, err := parseScaling(last)
			if err != nil {
				if _, e := parseScaling(names[0]); e == nil {
					err = fault.WithHint(fault.Usagef("the number must be the last argument"), "clusterctl scale %s %s", last, names[0])
				}
				return err
			}
			if err := (rollFlags{batch: 1, settle: o.settle, timeout: o.timeout}).check(); err != nil {
				return err
			}
			return runScale(withoutHangup(ctx), e, names, how, o)
		},
	}
}

// appScale is what became of one app, as "scale --json" prints it (schema 1).
type appScale struct {
	Name units.Name `json:"name"`
	OK   bool       `json:"ok"`
	// From and To are numbers of instances, Count is what is kept: a number, max, or a percentage.
	From  int    `json:"from"`
	To    int    `json:"to"`
	Count string `json:"count"`
	// Changed: something was written. Running: the app runs, so that instances were started or stopped.
	Changed bool `json:"changed"`
	Running bool `json:"running"`
	// TookMs is in milliseconds.
	TookMs    int64          `json:"tookMs"`
	Error     string         `json:"error,omitempty"`
	Log       []string       `json:"log,omitempty"`
	Instances []instanceRoll `json:"instances"`
}

// runScale scales one app after the other. That one fails does not keep the next from its turn.
func runScale(ctx context.Context, e *env, names []string, how scaling, o scaleFlags) error {
	targets, err := e.targets(names)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(targets, func(t target) bool { return t.instance > 0 }); i >= 0 {
		return fault.WithHint(fault.Usagef("scale is for an app as a whole, and %s is an instance", targets[i]), "clusterctl stop %s stops it", targets[i])
	}
	if err := e.needRoot(); err != nil {
		return err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	reports := []appScale{}
	var errs []error
	for _, t := range targets {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		started := e.now()
		s := &scale{e: e, conn: conn, how: how, o: o, started: started}
		s.report = appScale{Name: t.app.Name, Instances: []instanceRoll{}}
		err := e.withKilled(ctx, t.app, s.run(ctx, t.app.Name), started)
		errs = append(errs, err)
		s.report.OK, s.report.TookMs = err == nil, e.now().Sub(started).Milliseconds()
		if err != nil {
			s.report.Error = err.Error()
			var notReached *fault.NotReached
			if errors.As(err, &notReached) {
				s.report.Log = notReached.Log
			}
		}
		e.killed.mark(s.report.Instances)
		reports = append(reports, s.report)
	}
	if o.asJSON {
		errs = append(errs, e.printJSON(struct {
			Schema int        `json:"schema"`
			Apps   []appScale `json:"apps"`
		}{1, reports}))
	}
	return errors.Join(errs...)
}

// say tells what was done.
func (s *scale) say() {
	r := s.report
	switch {
	case !r.Changed:
		s.e.note("%s: has %s already (%s)", r.Name, text.Count(r.To, "instance"), r.Count)
	case !r.Running:
		s.e.note("%s: %s at the next start; it is stopped", r.Name, text.Count(r.To, "instance"))
	default:
		s.e.note("%s: %s, %d before", r.Name, text.Count(r.To, "instance"), r.From)
	}
}
