package manage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// Scaling describes a new number of instances. If the field By is 0, the field To has the new number. Otherwise the new
// number is the sum of By and the current number.
type Scaling struct {
	By int
	To units.Count
}

// Count returns the new number of instances. The parameter now is the current number.
func (c Scaling) Count(n units.Name, now int) (units.Count, error) {
	if c.By == 0 {
		return c.To, nil
	}
	switch to := now + c.By; {
	case to < 1:
		return units.Count{}, fault.WithHint(fault.Usagef("%s has %d; %+d would leave none", n, now, c.By), "clusterctl stop %s", n)
	case to > units.MaxInstances:
		return units.Count{}, fault.Usagef("%s has %d; %+d would be more than %d", n, now, c.By, units.MaxInstances)
	default:
		return units.Count{N: to}, nil
	}
}

// ScaleOptions are the options of [Manager.Scale]. New instances must be ready within Timeout. If Timeout is 0, there is no
// limit.
type ScaleOptions struct {
	Settle, Timeout time.Duration
}

// ScaleResult is the result of a scale for one app, as "scale --json" prints it (schema 1).
type ScaleResult struct {
	Name units.Name `json:"name"`
	OK   bool       `json:"ok"`
	// The fields From and To have the old and the new number of instances. The field Count has the new setting: a number,
	// max, or a percentage.
	From  int    `json:"from"`
	To    int    `json:"to"`
	Count string `json:"count"`
	// Changed is set if files were written. Running is set if the app runs, so that instances were started or stopped.
	Changed   bool             `json:"changed"`
	Running   bool             `json:"running"`
	TookMs    int64            `json:"tookMs"`
	Error     string           `json:"error,omitempty"`
	Log       []string         `json:"log,omitempty"`
	Instances []InstanceResult `json:"instances"`
}

// A value of the type scale is one change of the number of instances of one app.
//
// A scale writes the intent, then starts or stops instances, and changes files last. If an instance fails, no file has
// changed yet, so systemd need not reload its files.
type scale struct {
	*Session
	o       ScaleOptions
	started time.Time
	result  *ScaleResult
	// The field toStart has the instances to start, and the field toStop has the instances to stop, in the order of the
	// starts and stops.
	toStart, toStop []int
	newListed       int
}

// Scale changes the number of instances of an app. After an error the app has the old number.
func (m *Manager) Scale(ctx context.Context, n units.Name, how Scaling, o ScaleOptions) (ScaleResult, error) {
	started := m.Now()
	r := ScaleResult{Name: n, Instances: []InstanceResult{}}
	err := m.scale(ctx, how, o, &r)
	r.OK, r.TookMs = err == nil, m.Now().Sub(started).Milliseconds()
	r.Error, r.Log = errorText(err)
	m.Kills.mark(r.Instances)
	return r, err
}

func (m *Manager) scale(ctx context.Context, how Scaling, o ScaleOptions, r *ScaleResult) error {
	s, err := m.Open(ctx, r.Name)
	if err != nil {
		return err
	}
	defer s.Close()
	c := &scale{Session: s, o: o, started: s.Now(), result: r}
	return s.WithKilled(ctx, s.app, c.run(ctx, how), c.started)
}

func (c *scale) run(ctx context.Context, how Scaling) error {
	plan, err := c.plan(ctx, how)
	if err != nil || !plan.Changed() {
		return err
	}
	tx, err := c.Store.Begin(plan)
	if err != nil {
		return err
	}
	if err := c.startAndStop(ctx); err != nil {
		err = notReached(c.Explain(context.WithoutCancel(ctx), err, c.app.LogNamespace(), c.started))
		return errors.Join(err, c.scaleBack(ctx, tx))
	}
	if err := tx.Write(); err != nil {
		return errors.Join(err, c.scaleBack(ctx, tx))
	}
	if err := c.Conn.Reload(ctx); err != nil {
		return errors.Join(err, c.scaleBack(ctx, tx), c.Conn.Reload(context.WithoutCancel(ctx)))
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if err := c.startSkipped(ctx, c.result.To, c.newListed); err != nil {
		return err
	}
	return errors.Join(c.removeInstanceState(ctx, c.toStop), c.Store.UnmarkExtra(c.Name, c.toStart...))
}

// The method startAndStop starts the instances in c.toStart, or stops the instances in c.toStop.
func (c *scale) startAndStop(ctx context.Context) error {
	if len(c.toStart) > 0 {
		return c.startAdded(ctx)
	}
	if len(c.toStop) == 0 || !c.result.Running {
		return nil
	}
	c.Note("%s: stopping %s", c.Name, text.Count(len(c.toStop), "instance"))
	began := c.Now()
	err := c.Conn.StopInstances(ctx, c.Name, c.toStop)
	for _, i := range c.toStop {
		r := InstanceResult{Unit: c.Name.Instance(i), Instance: i, Outcome: "stopped", TookMs: c.Now().Sub(began).Milliseconds()}
		if err != nil {
			r.Outcome, r.Reason = control.RollFailed.String(), err.Error()
		}
		c.result.Instances = append(c.result.Instances, r)
	}
	c.noteCuts(c.Name, began, c.result.Instances)
	return err
}

func (c *scale) startAdded(ctx context.Context) error {
	if err := c.Store.MarkExtra(c.Name, c.toStart...); err != nil {
		return err
	}
	p := c.Progress(c.Name, len(c.toStart))
	defer p.End()
	began := c.Now()
	results := make([]InstanceResult, len(c.toStart))
	for k, i := range c.toStart {
		results[k] = InstanceResult{Unit: c.Name.Instance(i), Instance: i, Outcome: control.RollFailed.String()}
	}
	c.result.Instances = results
	return c.Conn.StartInstances(ctx, c.Name, c.toStart, c.o.Settle, c.o.Timeout, func(ev control.Progress) {
		p.Observe(ev)
		for k := range results {
			if results[k].Instance == ev.Instance {
				results[k].observe(ev, c.Now().Sub(began))
			}
		}
	})
}

// startSkipped starts the listed instances with the numbers from want+1 to listed. Because ConditionCPUs= requires more CPUs
// than this machine has, systemd skips the start. It then reports these instances as skipped instead of stopped.
func (s *Session) startSkipped(ctx context.Context, want, listed int) error {
	states, err := s.Conn.States(ctx, []string{s.Name.Service()})
	if err != nil || listed <= want || !states[0].Up() {
		return err // a start would open the sockets of a stopped app
	}
	return s.Conn.StartInstances(ctx, s.Name, instances(want, listed), 0, 0, nil)
}

// scaleBack undoes startAndStop, and rolls the files back. An interrupt of the command does not stop scaleBack.
func (c *scale) scaleBack(ctx context.Context, tx *install.Tx) error {
	ctx = context.WithoutCancel(ctx)
	c.Note("%s: scaling back to %s", c.Name, text.Count(c.result.From, "instance"))
	err := c.removeInstances(ctx, c.toStart)
	stopped := slices.DeleteFunc(slices.Clone(c.toStop), func(i int) bool { return i > c.result.From })
	if len(stopped) > 0 && c.result.Running {
		err = errors.Join(err, c.Conn.StartInstances(ctx, c.Name, stopped, 0, 0, nil))
	}
	if !canRetry(err) {
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		return fmt.Errorf("scaling %s back: %w", c.Name, err)
	}
	c.result.To, c.result.Changed = c.result.From, false
	return nil
}

// removeInstances stops the instances in list, and removes their state and the files that mark them as extra instances.
func (s *Session) removeInstances(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	if err := s.Conn.StopInstances(ctx, s.Name, list); err != nil {
		return err
	}
	return errors.Join(s.removeInstanceState(ctx, list), s.Store.UnmarkExtra(s.Name, list...))
}

// removeInstanceState resets the failures of stopped instances and removes their state in /run.
func (s *Session) removeInstanceState(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	return errors.Join(s.Conn.ResetFailed(ctx, unitNames(s.Name, list)...), s.Store.RemoveInstanceState(s.Name, list...))
}

// finishScale handles a scale that was killed. finishScale rolls back a scale to more instances, and completes a scale to
// fewer instances. In both cases finishScale only stops instances, because a stop fails less often than a start.
func (s *Session) finishScale(ctx context.Context, p *install.Pending) error {
	cpus, err := s.Conn.CPUs(ctx, s.Name.Slice())
	if err != nil {
		return err
	}
	source, list := install.FileOf(p.Changes, units.KindSource), install.FileOf(p.Changes, units.KindList)
	from, fromListed := s.size(source.Old, list.Old, cpus)
	to, toListed := s.size(source.New, list.New, cpus)
	up, down := scaleSteps(from, to, fromListed)
	if len(up) > 0 || from == to && toListed >= fromListed {
		s.Note("%s: %q (pid %d) was killed half-way; scaling back to %s", s.Name, p.Command, p.PID, text.Count(from, "instance"))
		if err := s.removeInstances(ctx, up); err != nil {
			return err
		}
		if err := p.Rollback(); err != nil {
			return err
		}
		return s.Conn.Reload(ctx)
	}
	s.Note("%s: %q (pid %d) was killed half-way; finishing it", s.Name, p.Command, p.PID)
	if err := s.removeInstances(ctx, down); err != nil {
		return err
	}
	tx, err := p.RollForward()
	if err != nil {
		return err
	}
	if err := s.Conn.Reload(ctx); err != nil {
		return err
	}
	return errors.Join(tx.Commit(), s.startSkipped(ctx, to, toListed))
}

// size returns how many instances the machine runs with this source and this instance list, and how many instances are
// listed.
func (s *Session) size(source, list []byte, cpus units.CPUs) (want, listed int) {
	a, _ := s.decodeSource(source)
	listed = units.ListedInstances(list)
	return a.Instances.Today(cpus, listed), listed
}
