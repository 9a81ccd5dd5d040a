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

// Scaling is a new number of instances: By is relative to the present one, and if it is 0, To is the number.
type Scaling struct {
	By int
	To units.Count
}

// Count returns the number for an app that has now instances.
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

// ScaleOptions say how new instances are waited for. Timeout bounds the time until they are ready, unless it is 0.
type ScaleOptions struct {
	Settle, Timeout time.Duration
}

// ScaleResult is what a scale did to one app, as "scale --json" prints it (schema 1).
type ScaleResult struct {
	Name units.Name `json:"name"`
	OK   bool       `json:"ok"`
	// From and To are numbers of instances, Count is what is kept: a number, max, or a percentage.
	From  int    `json:"from"`
	To    int    `json:"to"`
	Count string `json:"count"`
	// Changed is set if something was written, Running if the app runs, so that instances were started or stopped.
	Changed bool `json:"changed"`
	Running bool `json:"running"`
	// TookMs is in milliseconds.
	TookMs    int64            `json:"tookMs"`
	Error     string           `json:"error,omitempty"`
	Log       []string         `json:"log,omitempty"`
	Instances []InstanceResult `json:"instances"`
}

// scale is the change of one app to another number of instances.
//
// Instances are started or stopped before a file changes. So a scale whose new instance fails needs no daemon-reload, and any
// other needs one. The intent is on disk before both, for the command after a kill.
type scale struct {
	*Session
	o       ScaleOptions
	started time.Time
	result  *ScaleResult
	// up are the instances to start, down those to stop, the last one first.
	up, down []int
	// after is how many instances are listed in the end.
	after int
}

// Scale changes the number of instances of an app. After an error the app has as many as before.
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
	if err := c.startSkipped(ctx, c.result.To, c.after); err != nil {
		return err
	}
	return errors.Join(c.forgetInstances(ctx, c.down), c.Store.UnmarkExtra(c.Name, c.up...))
}

// startAndStop starts and stops the instances by which the numbers differ.
func (c *scale) startAndStop(ctx context.Context) error {
	if len(c.up) > 0 {
		return c.startUp(ctx)
	}
	if len(c.down) == 0 || !c.result.Running {
		return nil
	}
	c.Note("%s: stopping %s", c.Name, text.Count(len(c.down), "instance"))
	began := c.Now()
	err := c.Conn.StopInstances(ctx, c.Name, c.down)
	for _, i := range c.down {
		one := InstanceResult{Unit: c.Name.Instance(i), Instance: i, Outcome: "stopped", TookMs: c.Now().Sub(began).Milliseconds()}
		if err != nil {
			one.Outcome, one.Reason = control.RollFailed.String(), err.Error()
		}
		c.result.Instances = append(c.result.Instances, one)
	}
	c.noteCuts(c.Name, began, c.result.Instances)
	return err
}

func (c *scale) startUp(ctx context.Context) error {
	if err := c.Store.MarkExtra(c.Name, c.up...); err != nil {
		return err
	}
	p := c.Progress(c.Name, len(c.up))
	defer p.End()
	began := c.Now()
	results := make([]InstanceResult, len(c.up))
	for k, i := range c.up {
		results[k] = InstanceResult{Unit: c.Name.Instance(i), Instance: i, Outcome: control.RollFailed.String()}
	}
	c.result.Instances = results
	return c.Conn.StartInstances(ctx, c.Name, c.up, c.o.Settle, c.o.Timeout, func(ev control.Progress) {
		p.Observe(ev)
		for k := range results {
			if results[k].Instance == ev.Instance {
				results[k].observe(ev, c.Now().Sub(began))
			}
		}
	})
}

// startSkipped starts the listed instances above the number that this machine runs. Their condition keeps them down, and from
// then on systemd knows that they are skipped, and not stopped.
func (s *Session) startSkipped(ctx context.Context, want, listed int) error {
	states, err := s.Conn.States(ctx, []string{s.Name.Service()})
	if err != nil || listed <= want || !states[0].Up() {
		return err // each would open the sockets of an app that is stopped
	}
	return s.Conn.StartInstances(ctx, s.Name, instances(want, listed), 0, 0, nil)
}

// scaleBack undoes startAndStop, and takes the files back. It continues after an interrupt; the timeouts of the units bound it.
func (c *scale) scaleBack(ctx context.Context, tx *install.Tx) error {
	ctx = context.WithoutCancel(ctx)
	c.Note("%s: scaling back to %s", c.Name, text.Count(c.result.From, "instance"))
	err := c.dropInstances(ctx, c.up)
	again := slices.DeleteFunc(slices.Clone(c.down), func(i int) bool { return i > c.result.From })
	if len(again) > 0 && c.result.Running {
		err = errors.Join(err, c.Conn.StartInstances(ctx, c.Name, again, 0, 0, nil))
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

// dropInstances stops instances that are not wanted, and forgets them.
func (s *Session) dropInstances(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	if err := s.Conn.StopInstances(ctx, s.Name, list); err != nil {
		return err
	}
	return errors.Join(s.forgetInstances(ctx, list), s.Store.UnmarkExtra(s.Name, list...))
}

// forgetInstances removes the traces of instances that are stopped for good: failures, and what they left in /run.
func (s *Session) forgetInstances(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	return errors.Join(s.Conn.ResetFailed(ctx, unitNames(s.Name, list)...), s.Store.RemoveInstanceState(s.Name, list...))
}

// finishScale deals with a scale that was killed: one on its way up is taken back, one on its way down is finished. Either
// way what may be half done is instances that are to stop, and that cannot fail.
func (s *Session) finishScale(ctx context.Context, p *install.Pending) error {
	cpus, err := s.Conn.CPUs(ctx, s.Name.Slice())
	if err != nil {
		return err
	}
	from, fromListed := s.sizeIn(p, cpus, func(c install.Change) []byte { return c.Old })
	to, toListed := s.sizeIn(p, cpus, func(c install.Change) []byte { return c.New })
	if up, _ := scaleSteps(from, to, fromListed); len(up) > 0 || from == to && toListed >= fromListed {
		s.Note("%s: %q (pid %d) was killed half-way; scaling back to %s", s.Name, p.Command, p.PID, text.Count(from, "instance"))
		if err := s.dropInstances(ctx, up); err != nil {
			return err
		}
		if err := p.Rollback(); err != nil {
			return err
		}
		return s.Conn.Reload(ctx)
	}
	s.Note("%s: %q (pid %d) was killed half-way; finishing it", s.Name, p.Command, p.PID)
	_, down := scaleSteps(from, to, fromListed)
	if err := s.dropInstances(ctx, down); err != nil {
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

// sizeIn reads one side of an intent: how many instances run by it, and how many are listed.
func (s *Session) sizeIn(p *install.Pending, cpus units.CPUs, side func(install.Change) []byte) (want, listed int) {
	a, _ := s.sourceIn(p, side)
	listed = units.ListedInstances(side(install.FileOf(p.Changes, units.KindList)))
	return a.Instances.Today(cpus, listed), listed
}
