package manage

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Kills are the instances that were killed during a command because they did not stop, or start, in time.
type Kills struct {
	mu  sync.Mutex
	all []kill
}

// kill is one of them; reported: an error of the command names it.
type kill struct {
	control.Killed
	reported bool
}

// Add records an instance, and returns whether it is new in the list. It may be called from any goroutine.
func (k *Kills) Add(killed control.Killed) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.ContainsFunc(k.all, func(one kill) bool { return one.Unit == killed.Unit && one.Op == killed.Op }) {
		return false
	}
	k.all = append(k.all, kill{Killed: killed})
	return true
}

// mark sets the field of the killed instances in the results of a command.
func (k *Kills) mark(list []InstanceResult) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range list {
		for _, one := range k.all {
			if one.Unit == list[i].Unit {
				list[i].Killed, list[i].Reason = true, cmp.Or(list[i].Reason, one.Reason())
			}
		}
	}
}

// stops returns the instances of an app, or of all apps, that were killed at a stop and that no error names yet.
func (k *Kills) stops(n units.Name) []control.Killed {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []control.Killed
	for i, one := range k.all {
		if of, _, _ := units.ParseInstance(one.Unit); one.Op == control.Stop && !one.reported && (n == "" || n == of) {
			list = append(list, one.Killed)
			k.all[i].reported = true
		}
	}
	return list
}

// report marks the instance that an error names.
func (k *Kills) report(err error) {
	var killed *control.KilledError
	if k == nil || !errors.As(err, &killed) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.all {
		k.all[i].reported = k.all[i].reported || k.all[i].Unit == killed.Killed.Unit
	}
}

// WithKilled adds to the error of a command the instances of an app that had to be killed at their stop: what they had in
// memory is lost, so the command has not done what it should.
func (m *Manager) WithKilled(ctx context.Context, a units.App, err error, since time.Time) error {
	errs := []error{err}
	for _, k := range m.Kills.stops(a.Name) {
		errs = append(errs, m.explainKilled(ctx, &control.KilledError{Killed: k}, a, since, ""))
	}
	return errors.Join(errs...)
}

// explainKilled adds to the error of a killed instance its last log lines, how to give it more time, and another hint.
func (m *Manager) explainKilled(ctx context.Context, err error, a units.App, since time.Time, more string) error {
	hint := "--stop-timeout of \"clusterctl install\", stop-timeout in clusterctl.yaml, gives it more time; " + longer(a)
	err = fault.WithHint(err, "%s", hint+more)
	return m.Explain(context.WithoutCancel(ctx), err, a.LogNamespace(), since)
}

// longer returns in words how much time the app has now.
func longer(a units.App) string {
	now := a.Timeouts.Stop
	if now == 0 {
		now = contract.StopTimeout
	}
	return "now it is " + now.String()
}
