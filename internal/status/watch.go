package status

import (
	"context"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/units/control"
)

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
