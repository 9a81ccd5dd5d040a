package main

import (
	"context"
	"sync"

	"github.com/clusterctl/clusterctl/units/control"
)

// kills are the instances that this command has killed because they did not stop, or start, in time.
type kills struct {
	mu    sync.Mutex
	units map[string]bool
}

func (k *kills) add(unit string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.units == nil {
		k.units = make(map[string]bool)
	}
	k.units[unit] = true
}

// mark sets the field of the killed instances in the results of a command.
func (k *kills) mark(list []instanceRoll) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range list {
		list[i].Killed = k.units[list[i].Unit]
	}
}

// dialSystem connects to systemd. Whichever instance has to be killed is said in one line.
func (e *env) dialSystem(ctx context.Context) (*control.Conn, error) {
	conn, err := control.Dial(ctx)
	if err != nil {
		return nil, err
	}
	conn.OnKill(func(k control.Killed) {
		e.killed.add(k.Unit)
		e.note("%s", k)
	})
	return conn, nil
}
