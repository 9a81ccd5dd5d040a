package status

import (
	"context"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/units/control"
)

// debounce is how long a change waits for the changes that come with it.
const debounce = 50 * time.Millisecond

// Watched is what [Collector.Watch] needs to know.
type Watched struct {
	// List returns the apps to watch. Watch calls it again at each interval.
	List     func() (List, error)
	Interval time.Duration
	// Show gets the state of the apps.
	Show func(context.Context, *List) error
}

// Watch shows the state of apps at each change of a unit, and at each interval, since nothing reports changes of the CPU use,
// of queues and connections, and of the apps that there are. It ends with the context, or with the first error.
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

// follow watches until other units are to be watched, or until an error.
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
	due, waiting := time.NewTimer(0), true // the first picture
	defer due.Stop()
	for {
		select {
		case st := <-changes:
			if i := slices.Index(names, st.Unit); i >= 0 {
				states[i] = st
			}
			if !waiting { // not again: changes may follow each other forever
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

// stream sends the changes of a watch until the watch fails, or until stop, which ends both and waits for the goroutine.
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
