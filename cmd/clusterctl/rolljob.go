package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// withoutHangup is ctx without the loss of the terminal: half an app on the new code is no state to leave it in. What
// interrupts it otherwise still does.
func withoutHangup(ctx context.Context) context.Context {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		if !hungUp(ctx) {
			cancel(context.Cause(ctx))
		}
	})
	return out
}

// hungUp says whether it was SIGHUP that ended the context; signal.NotifyContext leaves but the text of it.
func hungUp(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return cause != nil && strings.HasPrefix(cause.Error(), syscall.SIGHUP.String())
}

// rollCommand is ExecReload= of an app: "systemctl reload NAME". It asks for no job of the aggregate, whose reload job it is
// part of, and what it says goes to the journal of the aggregate.
func rollCommand(e *env) *cmdline.Command {
	var o rollFlags
	return &cmdline.Command{
		Name: "internal-roll", Hidden: true, Usage: "Reload an app for systemd",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name}}},
		Flags:    o.flags(),
		Run: func(ctx context.Context, in cmdline.Input) error {
			o.surgeGiven = in.Given("surge")
			if err := o.check(); err != nil {
				return err
			}
			if err := e.needRoot(); err != nil {
				return err
			}
			n, err := units.ParseName(in.Args[0])
			if err != nil {
				return err
			}
			return e.internalRoll(ctx, n, o)
		},
	}
}

func (e *env) internalRoll(ctx context.Context, n units.Name, o rollFlags) error {
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	lock, err := e.lock(ctx, n)
	if err != nil {
		return err
	}
	defer func() {
		_, loadErr := e.store.Load(n)
		var gone *install.NotInstalledError
		if errors.As(loadErr, &gone) {
			// The units were generated and put here by hand; nothing of ours is to stay beside them.
			_ = lock.Remove()
			return
		}
		_ = lock.Unlock()
	}()
	// An intent that a killed command left is for the next command: its repair may stop this app, and this process with it.
	if err := e.stopExtra(ctx, conn, n); err != nil {
		return err
	}
	list, err := instancesOf(e.getenv("CLUSTERCTL_INSTANCES"))
	if err != nil {
		return err
	}
	if o.surge > 0 && list[len(list)-1]+o.surge > units.MaxInstances {
		return fault.Usagef("--surge %d: %s would have more than %d instances", o.surge, n, units.MaxInstances)
	}
	a, err := e.store.Load(n)
	if err != nil {
		// The units were only generated, or the description is damaged: neither is in the way of a reload.
		a = units.App{Name: n}
	}
	if err := e.guard().StillSafe(a, e.store.SourcePath(a.Name)); err != nil {
		return err
	}
	if err := e.healAlone(ctx, conn, a); err != nil {
		return err
	}
	started := e.now()
	rolled, err := e.rollApp(ctx, conn, a, list, o.optionsOf(a, list[len(list)-1]))
	e.noteCuts(n, started, rollReportOf(n, rolled, 0, nil).Instances)
	if err != nil {
		return err
	}
	return e.sayRolled(rollOf{target: target{app: units.App{Name: n}, implied: true}}, rolled)
}

// instancesOf reads the list that systemd has in the environment of the aggregate: "1 2 3". The list on disk may be newer.
func instancesOf(s string) ([]int, error) {
	var list []int
	for word := range strings.FieldsSeq(s) {
		i, err := strconv.Atoi(word)
		if err != nil || i < 1 || i > units.MaxInstances {
			return nil, fmt.Errorf("CLUSTERCTL_INSTANCES: %q is not the number of an instance", word)
		}
		list = append(list, i)
	}
	if list == nil {
		return nil, fault.WithHint(errors.New("CLUSTERCTL_INSTANCES is not set"), "sudo systemctl reload NAME runs this command")
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// reloadByJob is for an operator whom polkit lets reload the app: as a job of systemd it has the rights that it needs, and
// the lock.
func (e *env) reloadByJob(ctx context.Context, conn *control.Conn, r rollOf) ([]control.Rolled, error) {
	n := r.app.Name
	names := []string{n.Service()}
	for i := range r.listed {
		names = append(names, n.Instance(i+1))
	}
	before, err := conn.States(ctx, names)
	if err != nil {
		return nil, err
	}
	if !before[0].Up() {
		return nil, e.sayRolled(r, nil)
	}
	e.note("%s: reloading, as a job of systemd", n)
	started := e.now()
	outcomes, err := conn.Do(ctx, control.Reload, control.Fail, n.Service())
	if err != nil {
		return nil, err
	}
	after, err := conn.States(ctx, names)
	if err != nil {
		return nil, err
	}
	var rolled []control.Rolled
	for i := range r.listed {
		rolled = append(rolled, compareRolled(i+1, before[i+1], after[i+1], started))
	}
	switch o := outcomes[0]; {
	case o.Err != nil:
		return rolled, notReached(&control.RefusedError{Unit: n.Service(), Op: control.Reload, Err: o.Err})
	case o.Result != control.Done:
		err := &control.JobError{Unit: n.Service(), Op: control.Reload, Result: o.Result}
		return rolled, notReached(fault.WithHint(err, "journalctl -u %s -n 20", n.Service()))
	}
	return rolled, e.sayRolled(r, rolled)
}

// compareRolled tells from two looks what a reload has done to an instance.
func compareRolled(i int, before, after control.State, started time.Time) control.Rolled {
	one := control.Rolled{Instance: i, Unit: after.Unit, State: after}
	renewed := after.ActiveSince.After(before.ActiveSince)
	switch {
	case after.Up() && before.Up() && renewed:
		one.Outcome = control.RollReloaded
	case after.Up() && !before.Up():
		one.Outcome = control.RollStarted
	case after.Up():
		return one
	case before.Active == control.Inactive:
		one.Outcome, one.Reason = control.RollSkipped, control.Explain(after)
	default:
		one.Outcome, one.Reason = control.RollFailed, control.Explain(after)
	}
	if one.Outcome != control.RollSkipped && renewed {
		one.Took = max(after.ActiveSince.Sub(started), 0)
	}
	return one
}
