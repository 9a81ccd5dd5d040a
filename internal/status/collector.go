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
