package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// reload rolls one app under its lock.
func (e *env) reload(ctx context.Context, conn *control.Conn, r rollOf, o rollFlags) ([]control.Rolled, error) {
	n := r.app.Name
	if e.euid != 0 && r.only == nil {
		return e.reloadByJob(ctx, conn, r)
	}
	if e.euid == 0 {
		lock, err := e.lock(ctx, n)
		if err != nil {
			return nil, err
		}
		defer lock.Unlock()
		if err := e.repair(ctx, conn, n); err != nil {
			return nil, err
		}
		if r.listed, err = e.listed(n); err != nil { // another command may have scaled it meanwhile
			return nil, err
		}
	}
	if e.euid == 0 {
		if err := e.guard().StillSafe(r.app, e.store.SourcePath(r.app.Name)); err != nil {
			return nil, err
		}
	}
	list, options := r.only, o.optionsOf(r.app, r.listed)
	if replaced, err := e.heal(ctx, conn, r.app); err != nil {
		return nil, err
	} else if replaced {
		list = nil // the other instances have the old listener, too
	}
	if list == nil {
		list = numbers(r.listed)
	} else {
		options.Surge = 0
	}
	rolled, err := e.rollApp(ctx, conn, r.app, list, options)
	if err != nil {
		return rolled, err
	}
	return rolled, e.sayRolled(r, rolled)
}

// rollApp is the driver of a rolling reload with all around it: progress, extra instances, the reason of a failure. The
// lock of the app must be held, but by somebody who is not root, who cannot.
func (e *env) rollApp(ctx context.Context, conn *control.Conn, a units.App, list []int, o control.RollOptions) ([]control.Rolled, error) {
	if err := e.checkSecrets(a); err != nil {
		return nil, err
	}
	n, started := a.Name, e.now()
	rolled, err := e.rollSteps(ctx, conn, n, list, o)
	if slices.ContainsFunc(rolled, func(one control.Rolled) bool { return one.State.NeedDaemonReload }) {
		e.note("%s: its units have changed on disk, and systemd has not read them: sudo systemctl daemon-reload, then reload again", n)
	}
	if err == nil {
		return rolled, nil
	}
	untouched := leftRunning(rolled)
	if untouched > 0 {
		e.note("%s: the reload ends here; %s not touched and run on", n, were(untouched))
	}
	if wasKilled(err) {
		e.killed.report(err)
		more := ""
		if untouched > 0 {
			more = fmt.Sprintf("\nsudo clusterctl reload %s --force replaces the others all the same", n)
		}
		return rolled, explainKilled(ctx, err, a, started, more)
	}
	return rolled, notReached(explainInstance(context.WithoutCancel(ctx), nobodyServes(a, rolled, o, err), a.LogNamespace(), started))
}

// rollSteps replaces the instances, and runs o.Surge extra instances meanwhile.
func (e *env) rollSteps(ctx context.Context, conn *control.Conn, n units.Name, list []int, o control.RollOptions) (rolled []control.Rolled, err error) {
	var extra []int
	for i := range o.Surge {
		extra = append(extra, list[len(list)-1]+1+i)
	}
	if e.euid == 0 {
		// What crashed over and over waits before its next start, and that is not to be waited for.
		if err := e.store.ForgetRuns(n); err != nil {
			return nil, err
		}
	}
	if extra != nil {
		if err := e.store.MarkExtra(n, extra...); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, e.stopExtra(context.WithoutCancel(ctx), conn, n)) }()
	}
	p := e.newProgress(string(n), len(list)+len(extra))
	defer p.end()
	return conn.RollApp(ctx, n, list, o, p.observe)
}

// nobodyServes says first, and with what ends it, that the roll has left the app without a worker.
func nobodyServes(a units.App, rolled []control.Rolled, o control.RollOptions, err error) error {
	var broken *control.InstanceError
	up := func(one control.Rolled) bool { return one.State.Up() && one.Outcome != control.RollFailed }
	if !errors.As(err, &broken) || slices.ContainsFunc(rolled, up) {
		return err
	}
	what := "no worker runs now"
	if len(a.Listen) > 0 {
		what = "no worker serves " + a.Listen[0].String() + " now"
	}
	hint := fmt.Sprintf("put the last release that worked back, then sudo clusterctl reload %s\n"+
		"sudo clusterctl rollback %[1]s, if it is the configuration that has changed", a.Name)
	if o.Surge == 0 {
		hint += fmt.Sprintf("\nsudo clusterctl reload %s --surge 1 (key surge) starts the new worker first, if two may run at once", a.Name)
	}
	return fault.WithHint(fmt.Errorf("%s: %s: %w", a.Name, what, err), "%s", hint)
}

// leftRunning is how many instances a roll that ended early did not come to.
func leftRunning(rolled []control.Rolled) int {
	n := 0
	for _, one := range rolled {
		if one.Outcome == control.RollUntouched && one.State.Up() {
			n++
		}
	}
	return n
}

func wasKilled(err error) bool {
	var killed *control.KilledError
	var broken *control.InstanceError
	return errors.As(err, &killed) && !errors.As(err, &broken)
}

// wholeButKilled reports whether every instance was replaced, and the error is only that one had to be killed before.
func wholeButKilled(rolled []control.Rolled, err error) bool {
	return wasKilled(err) && leftRunning(rolled) == 0
}

func were(n int) string {
	if n == 1 {
		return "1 instance was"
	}
	return fmt.Sprintf("%d instances were", n)
}

// notReached gives the errors of jobs their exit status: all was done as asked, and the app is not where it should be.
func notReached(err error) error {
	var already *fault.NotReached
	var refused *control.RefusedError
	var job *control.JobError
	if !errors.As(err, &already) && (errors.As(err, &refused) || errors.As(err, &job)) && !errors.Is(err, control.ErrPermission) {
		return &fault.NotReached{Err: err}
	}
	return err
}

// sayRolled says what was done, and that it was nothing when nothing of the app runs.
func (e *env) sayRolled(r rollOf, rolled []control.Rolled) error {
	count := map[control.RollOutcome]int{}
	var took time.Duration
	for _, one := range rolled {
		count[one.Outcome]++
		took = max(took, one.Took)
	}
	done := count[control.RollReloaded] + count[control.RollStarted]
	switch {
	case done == 0 && r.implied:
		e.note("%s: stopped, and left alone", r)
		return nil
	case done == 0:
		return fault.WithHint(fmt.Errorf("%s is stopped; there is nothing to reload", r), "sudo clusterctl start %s", r)
	}
	words := []string{fmt.Sprintf("%s: %d reloaded", r, count[control.RollReloaded])}
	if n := count[control.RollStarted]; n > 0 {
		words = append(words, fmt.Sprintf("%d that were down started", n))
	}
	e.note("%s; at most %s each", strings.Join(words, ", "), text.Duration(took))
	for _, line := range leftAlone(rolled) {
		e.note("%s: left alone: %s", r, line)
	}
	return nil
}

// leftAlone gives one line for each reason why instances were not started: "shop@3, shop@4 and 6 more: it is stopped".
func leftAlone(rolled []control.Rolled) []string {
	const most = 3
	var lines, reasons []string
	for _, one := range rolled {
		// That there are more listed than CPUs, for a machine that grows, is as it should be.
		if one.Outcome == control.RollSkipped && !one.State.Skipped() && !slices.Contains(reasons, one.Reason) {
			reasons = append(reasons, one.Reason)
		}
	}
	for _, reason := range reasons {
		var names []string
		for _, one := range rolled {
			if one.Outcome == control.RollSkipped && one.Reason == reason {
				names = append(names, strings.TrimSuffix(one.Unit, ".service"))
			}
		}
		text := strings.Join(names[:min(len(names), most)], ", ")
		if more := len(names) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		lines = append(lines, text+": "+reason)
	}
	return lines
}

// stopExtra stops and forgets the extra instances of a reload or of a scale: at its end, or when it was killed. One that
// the units list by now stays.
func (e *env) stopExtra(ctx context.Context, conn *control.Conn, n units.Name) error {
	extra, err := e.store.Extra(n)
	if err != nil || len(extra) == 0 {
		return err
	}
	listed, err := e.listed(n)
	if err != nil {
		listed = 0 // of units that were only generated, or that have gone
	}
	var over []int
	var names []string
	for _, i := range extra {
		if i > listed {
			over, names = append(over, i), append(names, n.Instance(i))
		}
	}
	if len(over) > 0 {
		if err := conn.StopInstances(ctx, n, over); err != nil {
			return err
		}
		if err := conn.ResetFailed(ctx, names...); err != nil {
			return err
		}
		if err := e.store.RemoveInstanceState(n, over...); err != nil {
			return err
		}
	}
	return e.store.UnmarkExtra(n, extra...)
}
