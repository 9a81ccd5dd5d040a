package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// action is what a command does to one operand.
type action func(context.Context, *control.Conn, target) error

// lifecycle makes a command that does one thing to each operand in turn.
func lifecycle(e *env, name, usage, description string, act action, extra ...cli.Flag) *cli.Command {
	asJSON, flags := false, extra
	if name != "reset" {
		flags = append(flags, rollJSONFlag(&asJSON))
	}
	return &cli.Command{
		Name: name, Usage: usage, Description: description,
		UsageText: name + " " + operandForms,
		Flags:     flags,
		Action: func(c *cli.Context) error {
			args, err := operands(c, 1, -1, "the NAME of an app")
			if err != nil {
				return err
			}
			reports, err := e.each(withoutHangup(c.Context), args, name == "stop", act)
			if asJSON && reports != nil {
				err = errors.Join(err, e.printRolls(reports))
			}
			return err
		},
	}
}

// each returns what became of each operand, nil if it did not begin. stop: the instances are stopped.
func (e *env) each(ctx context.Context, args []string, stop bool, act action) ([]appRoll, error) {
	targets, err := e.targets(args)
	if err != nil {
		return nil, err
	}
	reports := []appRoll{}
	if len(targets) == 0 {
		return reports, nil
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var errs []error
	for _, t := range targets {
		if ctx.Err() != nil {
			return reports, errors.Join(append(errs, ctx.Err())...)
		}
		report, err := e.one(ctx, conn, t, stop, act)
		reports, errs = append(reports, report), append(errs, err)
	}
	return reports, errors.Join(errs...)
}

// one acts under the app's lock. An operator whom polkit lets start units need not be root, and cannot lock.
func (e *env) one(ctx context.Context, conn *control.Conn, t target, stop bool, act action) (appRoll, error) {
	started := e.now()
	fail := func(err error) (appRoll, error) { return rollReportOf(t.app.Name, nil, e.now().Sub(started), err), err }
	if e.euid == 0 {
		lock, err := e.lock(ctx, t.app.Name)
		if err != nil {
			return fail(err)
		}
		defer lock.Unlock()
		if err := e.repair(ctx, conn, t.app.Name); err != nil {
			return fail(err)
		}
		// What it was may have changed while we waited, or by the repair.
		if t, err = e.targetNow(t); err != nil {
			return fail(err)
		}
	}
	list := numbers(t.listed)
	if t.instance > 0 {
		list = []int{t.instance}
	}
	var names []string
	for _, i := range list {
		names = append(names, t.app.Name.Instance(i))
	}
	started = e.now()
	before, err := conn.States(ctx, names)
	if err != nil {
		return fail(err)
	}
	err = explainInstance(context.WithoutCancel(ctx), act(ctx, conn, t), t.app.LogNamespace(), started)
	err = e.withKilled(ctx, t.app, err, started)
	var rolled []control.Rolled
	after, lookErr := conn.States(context.WithoutCancel(ctx), names)
	for i := range after {
		rolled = append(rolled, compareRolled(list[i], before[i], after[i], started))
	}
	report := rollReportOf(t.app.Name, rolled, e.now().Sub(started), err)
	for i := range report.Instances {
		if stop && before[i].Active != control.Inactive && (after[i].Active == control.Inactive || after[i].Active == control.ActiveFailed) {
			report.Instances[i].Outcome, report.Instances[i].Reason = "stopped", ""
		}
	}
	e.killed.mark(report.Instances)
	e.noteCuts(t.app.Name, started, report.Instances)
	return report, errors.Join(err, lookErr)
}

func startCommand(e *env) *cli.Command {
	settle := defaultSettle
	return lifecycle(e, "start", "Start apps or instances, and wait until they are ready",
		"EXAMPLE:\n   sudo clusterctl start shop", func(ctx context.Context, conn *control.Conn, t target) error {
			return e.start(ctx, conn, t, settle)
		}, settleFlag(&settle))
}

func settleFlag(d *time.Duration) cli.Flag {
	return &cli.DurationFlag{Name: "settle", Value: defaultSettle, Usage: "`TIME` that every instance has to stay alive", Destination: d}
}

func (e *env) start(ctx context.Context, conn *control.Conn, t target, settle time.Duration) error {
	if err := e.checkSecrets(t.app); err != nil {
		return err
	}
	if t.instance > 0 {
		return errors.Join(e.job(ctx, conn, control.Start, t), e.healAlone(ctx, conn, t.app))
	}
	want, err := e.wanted(ctx, conn, t)
	if err != nil {
		return err
	}
	if replaced, err := e.heal(ctx, conn, t.app); err != nil {
		return err
	} else if replaced {
		if _, err := e.rollApp(ctx, conn, t.app, numbers(t.listed), control.RollOptions{Batch: 1, Settle: settle}); err != nil {
			return err
		}
	}
	if err := e.startApp(ctx, conn, t.app.Name, units.Sizing{Want: want, Listed: t.listed}, settle); err != nil {
		return err
	}
	e.note("%s: started", t)
	return nil
}

// wanted is how many of the listed instances this machine will run.
func (e *env) wanted(ctx context.Context, conn *control.Conn, t target) (int, error) {
	cpus, err := conn.CPUs(ctx, t.app.Name.Slice())
	if err != nil {
		return 0, err
	}
	return t.app.Instances.Today(cpus, t.listed), nil
}

func stopCommand(e *env) *cli.Command {
	return lifecycle(e, "stop", "Stop apps or instances; they stay stopped until the next start or boot",
		"Stopping an app closes its port. It is still enabled, and starts at the next boot.\n\nEXAMPLE:\n   sudo clusterctl stop shop",
		func(ctx context.Context, conn *control.Conn, t target) error {
			if t.instance > 0 {
				return e.job(ctx, conn, control.Stop, t)
			}
			if err := conn.StopApp(ctx, t.app.Name); err != nil {
				return err
			}
			e.note("%s: stopped", t)
			return nil
		})
}

func restartCommand(e *env) *cli.Command {
	var o rollFlags
	var rolling bool
	cmd := lifecycle(e, "restart", "Restart all instances of apps at once, with the port left open",
		"Requests that arrive meanwhile wait in the socket. With --rolling, or as \"reload\", one instance after the other is\n"+
			"replaced.\n\nEXAMPLE:\n   sudo clusterctl restart shop",
		func(ctx context.Context, conn *control.Conn, t target) error {
			return e.restart(ctx, conn, t, o.settle)
		},
		settleFlag(&o.settle), &cli.BoolFlag{Name: "rolling", Usage: "one after the other, as reload does", Destination: &rolling})
	atOnce := cmd.Action
	cmd.Action = func(c *cli.Context) error {
		if !rolling {
			return atOnce(c)
		}
		args, err := operands(c, 1, -1, "the NAME of an app")
		if err != nil {
			return err
		}
		o.asJSON = c.Bool("json")
		return runReload(withoutHangup(c.Context), e, args, o)
	}
	return cmd
}

func (e *env) restart(ctx context.Context, conn *control.Conn, t target, settle time.Duration) error {
	if err := e.checkSecrets(t.app); err != nil {
		return err
	}
	if t.instance > 0 {
		return errors.Join(e.job(ctx, conn, control.Restart, t), e.healAlone(ctx, conn, t.app))
	}
	want, err := e.wanted(ctx, conn, t)
	if err != nil {
		return err
	}
	if _, err := e.heal(ctx, conn, t.app); err != nil {
		return err
	}
	p := e.newProgress(string(t.app.Name), want)
	err = conn.RestartInstances(ctx, t.app.Name, numbers(t.listed), settle, p.observe)
	p.end()
	if err != nil {
		return err
	}
	e.note("%s: restarted", t)
	return nil
}

// job does one thing to one instance.
func (e *env) job(ctx context.Context, conn *control.Conn, op control.Op, t target) error {
	unit := t.app.Name.Instance(t.instance)
	var err error
	switch op {
	case control.Restart:
		// It watches: how the old run ended is gone with the start of the new one.
		err = conn.RestartInstances(ctx, t.app.Name, []int{t.instance}, 0, nil)
	case control.Start:
		// It watches: the job may be canceled while the start goes on.
		err = conn.StartInstances(ctx, t.app.Name, []int{t.instance}, 0, 0, nil)
	default:
		err = e.jobOf(ctx, conn, op, unit)
	}
	if err != nil {
		return err
	}
	states, err := conn.States(ctx, []string{unit})
	if err != nil {
		return err
	}
	if st := states[0]; op != control.Stop && st.Skipped() && t.implied {
		return nil
	} else if op != control.Stop && st.Skipped() {
		return fault.WithHint(fmt.Errorf("%s is above the number of CPUs of this machine", t), "clusterctl show %s", t.app.Name)
	}
	e.note("%s: %s done", t, op)
	return nil
}

// jobOf queues the job and waits for it.
func (e *env) jobOf(ctx context.Context, conn *control.Conn, op control.Op, unit string) error {
	outcomes, err := conn.Do(ctx, op, control.Replace, unit)
	switch {
	case err != nil:
		return err
	case outcomes[0].Err != nil:
		return &control.RefusedError{Unit: unit, Op: op, Err: outcomes[0].Err}
	case outcomes[0].Result == control.Done:
		return nil
	}
	states, err := conn.States(ctx, []string{unit})
	if err != nil {
		return err
	}
	_, i, _ := units.ParseInstance(unit)
	return &control.InstanceError{Unit: unit, Instance: i, Reason: control.Explain(states[0]), State: states[0]}
}

func resetCommand(e *env) *cli.Command {
	return lifecycle(e, "reset", "Forget the failures of apps: restart counters, waits, and that an instance gave up",
		"What runs goes on; what gave up stays down until the next start.\n\nEXAMPLE:\n   sudo clusterctl reset shop && sudo clusterctl start shop",
		func(ctx context.Context, conn *control.Conn, t target) error {
			names := status.Units(t.app, t.listed)
			var only []int
			if t.instance > 0 {
				names, only = []string{t.app.Name.Instance(t.instance)}, []int{t.instance}
			}
			if err := conn.ResetFailed(ctx, names...); err != nil {
				return err
			}
			err := e.store.ForgetRuns(t.app.Name, only...)
			if e.euid != 0 && errors.Is(err, fs.ErrPermission) {
				// An operator's rights end at files. A restart by hand ends those waits as well.
				e.note("%s: reset, but for the waits after short runs; clusterctl restart ends those", t)
				return nil
			}
			if err != nil {
				return err
			}
			e.note("%s: reset", t)
			return nil
		})
}
