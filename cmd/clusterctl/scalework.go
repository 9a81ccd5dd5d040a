package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// scale is one app on its way to another number of instances.
//
// What runs comes first and what is written second: new instances are up, or the last ones are down, before a file changes.
// So a new instance that fails costs no daemon-reload, and one is enough for the rest. The intent stands before both, for
// the command after a kill.
type scale struct {
	e       *env
	conn    *control.Conn
	how     scaling
	o       scaleFlags
	started time.Time
	report  appScale
	// up are the instances to start, down those to stop, the last one first.
	up, down []int
	// namespace is the journal of the app.
	namespace string
	// listed is how many instances are listed in the end.
	listed int
}

func (s *scale) run(ctx context.Context, n units.Name) error {
	lock, err := s.e.lock(ctx, n)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := s.e.repair(ctx, s.conn, n); err != nil {
		return err
	}
	plan, err := s.plan(ctx, n)
	if err != nil || !plan.Changed() {
		if err == nil {
			s.say()
		}
		return err
	}
	tx, err := s.e.store.Begin(plan)
	if err != nil {
		return err
	}
	if err := s.live(ctx, n); err != nil {
		err = notReached(explainInstance(context.WithoutCancel(ctx), err, s.namespace, s.started))
		return errors.Join(err, s.back(ctx, n, tx))
	}
	if err := tx.Write(); err != nil {
		return errors.Join(err, s.back(ctx, n, tx))
	}
	if err := s.conn.Reload(ctx); err != nil {
		return errors.Join(err, s.back(ctx, n, tx), s.conn.Reload(context.WithoutCancel(ctx)))
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if err := startSkipped(ctx, s.conn, n, s.report.To, s.listed); err != nil {
		return err
	}
	if err := errors.Join(s.e.forgetInstances(ctx, s.conn, n, s.down), s.e.store.UnmarkExtra(n, s.up...)); err != nil {
		return err
	}
	s.say()
	return nil
}

// plan finds out what is to be written, started and stopped.
func (s *scale) plan(ctx context.Context, n units.Name) (install.Plan, error) {
	a, err := s.e.store.Load(n)
	if err != nil {
		return install.Plan{}, err
	}
	s.namespace = a.LogNamespace()
	listed, err := s.e.listed(n)
	if err != nil {
		return install.Plan{}, err
	}
	cpus, err := s.conn.CPUs(ctx, n.Slice())
	if err != nil {
		return install.Plan{}, err
	}
	from := a.Instances.Today(cpus, listed)
	if a.Instances, err = s.how.count(n, from); err != nil {
		return install.Plan{}, err
	}
	sizing := a.Instances.Resolve(cpus)
	s.report.From, s.report.To, s.report.Count, s.listed = from, sizing.Want, a.Instances.String(), sizing.Listed
	plan, err := s.e.planScale(ctx, s.conn, a, sizing)
	if err != nil {
		return plan, err
	}
	s.report.Changed = plan.Changed()
	states, err := s.conn.States(ctx, []string{n.Service()})
	if err != nil {
		return plan, err
	}
	s.report.Running = states[0].Up() || states[0].Active == control.Activating
	if s.up, s.down = scaleSteps(from, sizing.Want, listed); !s.report.Running {
		s.up = nil // those on the way down may have left something in /run
	}
	return plan, nil
}

// scaleSteps gives the instances to start, and those to stop, the last one first.
func scaleSteps(from, to, listed int) (up, down []int) {
	for i := from + 1; i <= to; i++ {
		up = append(up, i)
	}
	for i := max(listed, from); i > to; i-- {
		down = append(down, i)
	}
	return up, down
}

// planScale changes the instance list and the source. In the template it changes only the conditions by which instances follow
// the number of CPUs. A scale does not restart instances, so it keeps the template of an older clusterctl: otherwise the new
// sandbox would take effect at some later restart, when nobody watches.
func (e *env) planScale(ctx context.Context, conn *control.Conn, a units.App, sizing units.Sizing) (install.Plan, error) {
	version, err := conn.Version(ctx)
	if err != nil {
		return install.Plan{}, err
	}
	target, err := e.targetOf(a.Name)
	if err != nil {
		return install.Plan{}, err
	}
	target.Systemd, target.Sizing = version, sizing
	set, err := units.Render(a, target)
	if err != nil {
		return install.Plan{}, err
	}
	source := config.EncodeNames(a)
	whole, err := e.store.Plan(a.Name, set, source)
	if err != nil {
		return install.Plan{}, err
	}
	for i, f := range set {
		for _, c := range whole.Changes {
			switch {
			case c.Path != e.store.SetPath(a.Name, f.Path) || c.Old == nil || f.Path == a.Name.DropIn():
			case f.Path == a.Name.Template():
				set[i].Data = units.WithConditions(c.Old, c.New)
			default:
				set[i].Data = c.Old
			}
		}
	}
	if e.publicValues(a, whole) {
		source = config.Encode(a)
		for i, f := range set {
			if f.Path == a.Name.ValuesFile() {
				set[i] = units.File{Path: f.Path, Kept: true}
			}
		}
	}
	plan, err := e.store.Plan(a.Name, set, source)
	plan.Scale = true
	return plan, err
}

// publicValues returns whether the template and the source have the values of the variables, as an older clusterctl wrote
// them. Only an install or an apply moves them to the values file.
func (e *env) publicValues(a units.App, whole install.Plan) bool {
	template, source := false, false
	for _, c := range whole.Changes {
		switch {
		case c.Path == e.store.SetPath(a.Name, a.Name.Template()):
			files := units.ReadInstance(c.Old).EnvFiles
			template = c.Old != nil && !slices.Contains(files, units.EnvFile{Path: e.store.ValuesPath(a.Name)})
		case c.Path == e.store.ConfigPath(a.Name):
			// A hidden value must not get into this file, which everybody can read.
			apps, err := config.Decode(c.Path, c.Old)
			source = err == nil && len(apps) == 1 && len(apps[0].Env) > 0 &&
				!slices.ContainsFunc(apps[0].Env, func(v units.EnvVar) bool { return v.Hidden })
		}
	}
	return template && source
}

// live starts and stops what the new number says.
func (s *scale) live(ctx context.Context, n units.Name) error {
	if len(s.up) > 0 {
		if err := s.e.store.MarkExtra(n, s.up...); err != nil {
			return err
		}
		p := s.e.newProgress(string(n), len(s.up))
		defer p.end()
		began := s.e.now()
		for _, i := range s.up {
			s.report.Instances = append(s.report.Instances, instanceRoll{Unit: n.Instance(i), Instance: i, Outcome: control.RollFailed.String()})
		}
		return s.conn.StartInstances(ctx, n, s.up, s.o.settle, s.o.timeout, func(ev control.Progress) {
			p.observe(ev)
			for i := range s.report.Instances {
				if one := &s.report.Instances[i]; one.Instance == ev.Instance {
					one.observe(ev, s.e.now().Sub(began))
				}
			}
		})
	}
	if len(s.down) == 0 || !s.report.Running {
		return nil
	}
	s.e.note("%s: stopping %s", n, text.Count(len(s.down), "instance"))
	began := s.e.now()
	err := s.conn.StopInstances(ctx, n, s.down)
	for _, i := range s.down {
		one := instanceRoll{Unit: n.Instance(i), Instance: i, Outcome: "stopped", TookMs: s.e.now().Sub(began).Milliseconds()}
		if err != nil {
			one.Outcome, one.Reason = control.RollFailed.String(), err.Error()
		}
		s.report.Instances = append(s.report.Instances, one)
	}
	s.e.noteCuts(n, began, s.report.Instances)
	return err
}

// startSkipped starts the listed instances above the number that this machine runs. Their condition keeps them down, and from
// then on systemd knows that they are skipped, and not stopped.
func startSkipped(ctx context.Context, conn *control.Conn, n units.Name, want, listed int) error {
	states, err := conn.States(ctx, []string{n.Service()})
	if err != nil || listed <= want || !states[0].Up() {
		return err // each would open the sockets of an app that is stopped
	}
	return conn.StartInstances(ctx, n, between(want, listed), 0, 0, nil)
}

// observe takes over how far a new instance has come.
func (r *instanceRoll) observe(ev control.Progress, took time.Duration) {
	switch ev.Phase {
	case control.Ready, control.Finished:
		r.Outcome, r.Reason, r.PID, r.TookMs = control.RollStarted.String(), ev.Reason, ev.State.MainPID, took.Milliseconds()
	case control.SkippedByCondition:
		r.Outcome, r.Reason = control.RollSkipped.String(), ev.Reason
	case control.Broken:
		r.Outcome, r.Reason, r.PID = control.RollFailed.String(), ev.Reason, 0
	}
}

// back undoes what live has done, and takes the files back. It goes on after an interrupt; the timeouts of the units bound it.
func (s *scale) back(ctx context.Context, n units.Name, tx *install.Tx) error {
	ctx = context.WithoutCancel(ctx)
	s.e.note("%s: scaling back to %s", n, text.Count(s.report.From, "instance"))
	err := s.e.dropInstances(ctx, s.conn, n, s.up)
	again := slices.DeleteFunc(slices.Clone(s.down), func(i int) bool { return i > s.report.From })
	if len(again) > 0 && s.report.Running {
		err = errors.Join(err, s.conn.StartInstances(ctx, n, again, 0, 0, nil))
	}
	if err = errors.Join(err, tx.Rollback()); err != nil {
		return fmt.Errorf("scaling %s back: %w", n, err)
	}
	s.report.To, s.report.Changed = s.report.From, false
	return nil
}

// dropInstances stops instances that are not to be, and forgets them.
func (e *env) dropInstances(ctx context.Context, conn *control.Conn, n units.Name, list []int) error {
	if len(list) == 0 {
		return nil
	}
	if err := conn.StopInstances(ctx, n, list); err != nil {
		return err
	}
	return errors.Join(e.forgetInstances(ctx, conn, n, list), e.store.UnmarkExtra(n, list...))
}

// forgetInstances removes the traces of instances that are stopped for good: failures, and what they left in /run.
func (e *env) forgetInstances(ctx context.Context, conn *control.Conn, n units.Name, list []int) error {
	if len(list) == 0 {
		return nil
	}
	var names []string
	for _, i := range list {
		names = append(names, n.Instance(i))
	}
	return errors.Join(conn.ResetFailed(ctx, names...), e.store.RemoveInstanceState(n, list...))
}

// finishScale goes on with a scale that was killed: one on its way up is taken back, one on its way down is finished. Either
// way what may be half done is instances that are to stop, and that cannot fail.
func (e *env) finishScale(ctx context.Context, conn *control.Conn, n units.Name, p *install.Pending) error {
	cpus, err := conn.CPUs(ctx, n.Slice())
	if err != nil {
		return err
	}
	from, fromListed := e.sizeOf(n, p, cpus, func(c install.Change) []byte { return c.Old })
	to, toListed := e.sizeOf(n, p, cpus, func(c install.Change) []byte { return c.New })
	if up, _ := scaleSteps(from, to, fromListed); len(up) > 0 || from == to && toListed >= fromListed {
		e.note("%s: %q (pid %d) was killed half-way; scaling back to %s", n, p.Command, p.PID, text.Count(from, "instance"))
		if err := e.dropInstances(ctx, conn, n, up); err != nil {
			return err
		}
		if err := p.Rollback(); err != nil {
			return err
		}
		return conn.Reload(ctx)
	}
	e.note("%s: %q (pid %d) was killed half-way; finishing it", n, p.Command, p.PID)
	_, down := scaleSteps(from, to, fromListed)
	if err := e.dropInstances(ctx, conn, n, down); err != nil {
		return err
	}
	tx, err := p.RollForward()
	if err != nil {
		return err
	}
	if err := conn.Reload(ctx); err != nil {
		return err
	}
	return errors.Join(tx.Commit(), startSkipped(ctx, conn, n, to, toListed))
}

// sizeOf reads one side of an intent: how many instances run by it, and how many are listed.
func (e *env) sizeOf(n units.Name, p *install.Pending, cpus units.CPUs, side func(install.Change) []byte) (want, listed int) {
	var count units.Count
	for _, c := range p.Changes {
		switch {
		case c.Path == e.store.ConfigPath(n):
			if apps, err := config.Decode(c.Path, side(c)); err == nil && len(apps) == 1 {
				count = apps[0].Instances
			}
		case c.Kind() == units.KindList:
			listed = units.ListedInstances(side(c))
		}
	}
	return count.Today(cpus, listed), listed
}
