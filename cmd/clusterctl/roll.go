package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// reload rolls one app under its lock.
func (e *env) reload(ctx context.Context, conn *control.Conn, r rollOf, o control.RollOptions) ([]control.Rolled, error) {
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
		if err := e.stillSafe(r.app); err != nil {
			return nil, err
		}
	}
	list := r.only
	if replaced, err := e.heal(ctx, conn, r.app); err != nil {
		return nil, err
	} else if replaced {
		list = nil // the other instances have the old listener, too
	}
	if list == nil {
		list = numbers(r.listed)
	}
	rolled, err := e.rollApp(ctx, conn, r.app, list, o)
	if err != nil {
		return rolled, err
	}
	return rolled, e.sayRolled(r, rolled)
}

// rollApp is the driver of a rolling reload with all around it: progress, extra instances, the reason of a failure. The
// lock of the app must be held, but by somebody who is not root, who cannot.
func (e *env) rollApp(ctx context.Context, conn *control.Conn, a units.App, list []int, o control.RollOptions) (rolled []control.Rolled, err error) {
	if err := e.checkSecrets(a); err != nil {
		return nil, err
	}
	n := a.Name
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
	started := e.now()
	rolled, err = conn.RollApp(ctx, n, list, o, p.observe)
	p.end()
	if slices.ContainsFunc(rolled, func(one control.Rolled) bool { return one.State.NeedDaemonReload }) {
		e.note("%s: its units have changed on disk, and systemd has not read them: sudo systemctl daemon-reload, then reload again", n)
	}
	if err == nil {
		return rolled, nil
	}
	untouched := 0
	for _, one := range rolled {
		if one.Outcome == control.RollUntouched && one.State.Up() {
			untouched++
		}
	}
	e.note("%s: the reload ends here; %s not touched and run on", n, were(untouched))
	return rolled, notReached(explainInstance(context.WithoutCancel(ctx), err, a.LogNamespace(), started))
}

func were(n int) string {
	if n == 1 {
		return "1 instance was"
	}
	return fmt.Sprintf("%d instances were", n)
}

// notReached gives the errors of jobs their exit status: all was done as asked, and the app is not where it should be.
func notReached(err error) error {
	var already *notReachedError
	var refused *control.RefusedError
	var job *control.JobError
	if !errors.As(err, &already) && (errors.As(err, &refused) || errors.As(err, &job)) && !errors.Is(err, control.ErrPermission) {
		return &notReachedError{err: err}
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
		return withHint(fmt.Errorf("%s is stopped; there is nothing to reload", r), "sudo clusterctl start %s", r)
	}
	words := []string{fmt.Sprintf("%s: %d reloaded", r, count[control.RollReloaded])}
	if n := count[control.RollStarted]; n > 0 {
		words = append(words, fmt.Sprintf("%d that were down started", n))
	}
	e.note("%s; at most %s each", strings.Join(words, ", "), short(took))
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
		if one.Outcome == control.RollSkipped && !slices.Contains(reasons, one.Reason) {
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
