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

type kill struct {
	control.Killed
	reported bool // an error of the command names it
}

// Add records a killed instance, and reports whether it is new in the list. Goroutines may call it concurrently.
func (k *Kills) Add(killed control.Killed) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.ContainsFunc(k.all, func(e kill) bool { return e.Unit == killed.Unit && e.Op == killed.Op }) {
		return false
	}
	k.all = append(k.all, kill{Killed: killed})
	return true
}

// mark sets Killed in the results of the instances that were killed.
func (k *Kills) mark(list []InstanceResult) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range list {
		for _, e := range k.all {
			if e.Unit == list[i].Unit {
				list[i].Killed, list[i].Reason = true, cmp.Or(list[i].Reason, e.Reason())
			}
		}
	}
}

// unreported returns the instances of an app, or of all apps if n is empty, that were killed when they were stopped and that
// no error names yet.
func (k *Kills) unreported(n units.Name) []control.Killed {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []control.Killed
	for i, e := range k.all {
		if app, _, _ := units.ParseInstance(e.Unit); e.Op == control.Stop && !e.reported && (n == "" || n == app) {
			list = append(list, e.Killed)
			k.all[i].reported = true
		}
	}
	return list
}

// setReported marks the instance that an error names.
func (k *Kills) setReported(err error) {
	killed, ok := errors.AsType[*control.KilledError](err)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.all {
		k.all[i].reported = k.all[i].reported || k.all[i].Unit == killed.Killed.Unit
	}
}

// WithKilled adds an error for each instance of the app that had to be killed when it was stopped. Its data in memory is
// lost, so the command has failed.
func (m *Manager) WithKilled(ctx context.Context, a units.App, err error, since time.Time) error {
	errs := []error{err}
	for _, k := range m.Kills.unreported(a.Name) {
		errs = append(errs, m.explainKilled(ctx, &control.KilledError{Killed: k}, a, since, ""))
	}
	return errors.Join(errs...)
}

// explainKilled adds to the error of a killed instance its last log lines, a hint for a longer timeout, and the hint more.
func (m *Manager) explainKilled(ctx context.Context, err error, a units.App, since time.Time, more string) error {
	err = fault.WithHint(err, "to allow more than %s: --stop-timeout of \"clusterctl install\", or stop-timeout in clusterctl.yaml%s",
		cmp.Or(a.Timeouts.Stop, contract.StopTimeout), more)
	return m.Explain(context.WithoutCancel(ctx), err, a.LogNamespace(), since)
}
