package status

import (
	"context"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// Conn has the methods of [control.Conn] that a [Collector] uses.
type Conn interface {
	// States returns the states of units, in the order of the names.
	States(ctx context.Context, units []string) ([]control.State, error)
	// Watch returns the states of units now, and reports each later change.
	Watch(ctx context.Context, units []string) (*control.Watch, error)
}

// Collector collects the state of apps for one command. Only one goroutine may use a Collector.
type Collector struct {
	Conn  Conn
	Store *install.Store
	Host  inspect.Host
	Guard guard.Guard
	Now   func() time.Time
	// NoCPU is set to omit the CPU use. A measurement of the CPU use takes some time.
	NoCPU bool
	// Target returns the properties of this machine on which the units of an app depend.
	Target func(context.Context, units.App) (units.Target, error)

	meter *meter
	// The field audits has the last audit of each app, and the field slices has the state of its slice. The field audited
	// has the time when both were read.
	audited time.Time
	audits  map[units.Name]Audit
	slices  map[units.Name]control.State
}

// Collect sets the state of each app of a list.
func (c *Collector) Collect(ctx context.Context, l *List) error {
	if !c.NoCPU {
		c.meter = newMeter(c.Host, c.Now)
		c.meter.begin(l.Known)
	}
	states, err := c.Conn.States(ctx, l.units())
	if err != nil {
		return err
	}
	return c.fill(ctx, l, states)
}

// The method fill sets the state of each app of the list from the states of its units.
func (c *Collector) fill(ctx context.Context, l *List, states []control.State) error {
	l.States, l.Apps = nil, nil
	for _, a := range l.Known {
		n := len(Units(a.App, a.Count))
		l.States, states = append(l.States, states[:n]), states[n:]
	}
	var err error
	if l.Facts, err = c.measure(ctx, l.Known, l.States); err != nil {
		return err
	}
	for i, a := range l.Known {
		s := Summarise(a.App, l.States[i], l.Facts[i])
		if a.onlyInstances != nil {
			s.Instances = slices.DeleteFunc(s.Instances, func(i Instance) bool { return !slices.Contains(a.onlyInstances, i.Instance) })
		}
		l.Apps = append(l.Apps, s)
	}
	return nil
}

// debounce is the delay between a change and its output. The output also contains all changes that follow within this time.
const debounce = 50 * time.Millisecond

// Watched has the arguments of [Collector.Watch].
type Watched struct {
	// List returns the apps to watch. Watch calls List again after each Interval.
	List     func() (List, error)
	Interval time.Duration
	// Show prints the state of the apps.
	Show func(context.Context, *List) error
}

// Watch calls Show after each change of a unit and after each Interval. The Interval is needed because there are no events
// for changes of the CPU use, of queues, of connections, and of the list of apps. Watch returns an error when the context
// ends or a function fails.
func (c *Collector) Watch(ctx context.Context, w Watched) error {
	if !c.NoCPU {
		c.meter = newMeter(c.Host, c.Now)
	}
	for {
		if err := c.follow(ctx, w); err != nil {
			return err
		}
	}
}

// The method follow watches the units of the current list of apps. It returns nil when a new list has other units, and ends
// with the first error.
func (c *Collector) follow(ctx context.Context, w Watched) error {
	current, err := w.List()
	if err != nil {
		return err
	}
	names := current.units()
	watch, err := c.Conn.Watch(ctx, names)
	if err != nil {
		return err
	}
	states := watch.States()
	changes, failed, stop := stream(ctx, watch)
	defer stop()
	tick := time.NewTicker(w.Interval)
	defer tick.Stop()
	due, isDue := time.NewTimer(0), true // the first output follows at once
	defer due.Stop()
	for {
		select {
		case st := <-changes:
			if i := slices.Index(names, st.Unit); i >= 0 {
				states[i] = st
			}
			if !isDue { // if each change restarted the timer, the output could be delayed forever
				due.Reset(debounce)
				isDue = true
			}
			continue
		case err := <-failed:
			return err
		case <-due.C:
			isDue = false
		case <-tick.C:
			now, err := w.List()
			if err != nil {
				return err
			}
			if !slices.Equal(now.units(), names) {
				return nil
			}
			current = now
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.fill(ctx, &current, states); err != nil {
			return err
		}
		if err := w.Show(ctx, &current); err != nil {
			return err
		}
	}
}

// The function stream starts a goroutine that sends the changes of a watch, and an error if the watch fails. The returned
// function ends the goroutine and closes the watch.
func stream(ctx context.Context, watch *control.Watch) (<-chan control.State, <-chan error, func()) {
	ctx, cancel := context.WithCancel(ctx)
	changes, failed, done := make(chan control.State), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := watch.Next(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case changes <- c.State:
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes, failed, func() { cancel(); <-done; watch.Close() }
}
