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

// Conn is what a [Collector] needs from systemd.
type Conn interface {
	// States returns the states of units, in their order.
	States(ctx context.Context, units []string) ([]control.State, error)
	// Watch returns a stream that begins with the states of units and continues with their changes.
	Watch(ctx context.Context, units []string) (*control.Watch, error)
}

// Collector collects the state of apps for one command. Only one goroutine may use it.
type Collector struct {
	Conn  Conn
	Store *install.Store
	Host  inspect.Host
	Guard guard.Guard
	Now   func() time.Time
	// NoCPU omits the CPU use, so that a collection need not wait for its measurement.
	NoCPU bool
	// Target returns the settings of this machine for which the units of an app are rendered.
	Target func(context.Context, units.App) (units.Target, error)

	meter *meter
	// audits and slices, which has the states of the slices, were read at the time audited.
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

// fill turns the states of units into the state of each app.
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
		if a.only != nil {
			s.Instances = slices.DeleteFunc(s.Instances, func(i Instance) bool { return !slices.Contains(a.only, i.Instance) })
		}
		l.Apps = append(l.Apps, s)
	}
	return nil
}

// debounce is how long a change is held back, so that changes that follow at once are shown together with it.
const debounce = 50 * time.Millisecond

// Watched are the arguments of [Collector.Watch].
type Watched struct {
	// List returns the apps to watch. Watch calls it again at each interval.
	List     func() (List, error)
	Interval time.Duration
	// Show is called with the state of the apps.
	Show func(context.Context, *List) error
}

// Watch shows the state of apps at each change of a unit and at each interval. The interval is needed because no event
// reports changes of the CPU use, of queues and connections, or of the list of apps. Watch returns an error when the
// context ends, or at the first failure.
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

// follow watches until the set of units changes, and then returns nil. It also ends at the first error.
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
	due, waiting := time.NewTimer(0), true // for the first output
	defer due.Stop()
	for {
		select {
		case st := <-changes:
			if i := slices.Index(names, st.Unit); i >= 0 {
				states[i] = st
			}
			if !waiting { // a second reset could delay the output forever
				due.Reset(debounce)
				waiting = true
			}
			continue
		case err := <-failed:
			return err
		case <-due.C:
			waiting = false
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

// stream sends the changes of a watch until the watch fails or the caller calls the returned function. That function ends
// the goroutine, waits for it, and closes the watch.
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
