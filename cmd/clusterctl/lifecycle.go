package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// action is what a command does to one operand.
type action func(context.Context, *control.Conn, target) error

// lifecycle completes a command that does one thing to each operand in turn. With asJSON it prints what became of each.
func lifecycle(e *env, cmd *cmdline.Command, asJSON *bool, act action) *cmdline.Command {
	cmd.Operands = append(cmd.Operands, cmdline.Apps())
	if asJSON != nil {
		cmd.Flags = append(cmd.Flags, rollJSONFlag(asJSON))
	}
	cmd.Run = func(ctx context.Context, in cmdline.Input) error {
		reports, err := e.each(withoutHangup(ctx), in.Args, cmd.Name == "stop", act)
		if asJSON != nil && *asJSON && reports != nil {
			err = errors.Join(err, e.printRolls(reports))
		}
		return err
	}
	return cmd
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

func startCommand(e *env) *cmdline.Command {
	var settle time.Duration
	var asJSON bool
	cmd := lifecycle(e, &cmdline.Command{
		Name: "start", Usage: "Start apps or instances, or install a file",
		Description: []string{
			"Starts apps or instances that are installed, and waits until they are ready.",
			"With a FILE, it is \"install\", as in PM2: \"clusterctl start app.js -i 4\" means \"clusterctl install app.js -i 4\", and " +
				"all flags of \"install\" can follow. An installed app with the name of the file wins.",
		},
		Examples: []string{"sudo clusterctl start shop", "sudo clusterctl start app.js -i max"},
		Flags:    []cmdline.Flag{settleFlag(&settle)},
	}, &asJSON, func(ctx context.Context, conn *control.Conn, t target) error {
		return e.start(ctx, conn, t, settle)
	})
	cmd.Operands[0].Forms = append(cmd.Operands[0].Forms, cmdline.File)
	return cmd
}

func settleFlag(settle *time.Duration) cmdline.Flag {
	*settle = defaultSettle
	return cmdline.Flag{Name: "settle", To: settle, Takes: "TIME", Usage: "how long every instance must stay alive"}
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

func stopCommand(e *env) *cmdline.Command {
	var asJSON bool
	return lifecycle(e, &cmdline.Command{
		Name: "stop", Usage: "Stop apps or instances until the next start or boot",
		Description: []string{"Stopping an app closes its port. The app is still enabled, and starts at the next boot."},
		Examples:    []string{"sudo clusterctl stop shop"},
	}, &asJSON, func(ctx context.Context, conn *control.Conn, t target) error {
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

func restartCommand(e *env) *cmdline.Command {
	var o rollFlags
	var rolling bool
	cmd := lifecycle(e, &cmdline.Command{
		Name: "restart", Usage: "Restart all instances of apps at once, and keep the port open",
		Description: []string{"New connections wait in the socket until the instances are back. To replace one instance after the " +
			"other, use --rolling or \"clusterctl reload\"."},
		Examples: []string{"sudo clusterctl restart shop"},
		Flags: []cmdline.Flag{
			settleFlag(&o.settle),
			{Name: "rolling", To: &rolling, Usage: "replace one instance after the other, like \"reload\""},
		},
	}, &o.asJSON, func(ctx context.Context, conn *control.Conn, t target) error {
		return e.restart(ctx, conn, t, o.settle)
	})
	atOnce := cmd.Run
	cmd.Run = func(ctx context.Context, in cmdline.Input) error {
		if rolling {
			return runReload(withoutHangup(ctx), e, in.Args, o)
		}
		return atOnce(ctx, in)
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

func resetCommand(e *env) *cmdline.Command {
	return lifecycle(e, &cmdline.Command{
		Name: "reset", Usage: "Forget failures of apps: restart counters and restart delays",
		Description: []string{"Running instances continue. An instance that gave up stays down until the next start."},
		Examples:    []string{"sudo clusterctl reset shop && sudo clusterctl start shop"},
	}, nil,
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
