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

const (
	// LogLines is how many log lines of an instance are added to its error.
	LogLines   = 20
	logTimeout = 30 * time.Second
)

// Explain adds the last log lines of the unit that caused the error. The logs of instances are in the journal of the
// namespace.
func (m *Manager) Explain(ctx context.Context, err error, namespace string, since time.Time) error {
	// The caller's context may ignore interrupts, so a journal that hangs must not block the command.
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	var instance *control.InstanceError
	var socket *control.SocketError
	var killed *control.KilledError
	var unit string
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &killed):
		unit = killed.Killed.Unit
	case errors.As(err, &instance):
		unit = instance.Unit
	case errors.As(err, &socket):
		unit, namespace = socket.Unit, ""
	default:
		return err
	}
	lines, tailErr := m.Tail(ctx, unit, namespace, LogLines, since)
	if tailErr != nil && instance != nil {
		lines = []string{tailErr.Error()}
	}
	return &fault.NotReached{Err: err, Log: lines}
}

// hasType reports whether an error of type E is in the tree of err.
func hasType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// notReached returns the error of a job as a [fault.NotReached]: the command is done, and the app does not run as it should.
func notReached(err error) error {
	isJob := hasType[*control.RefusedError](err) || hasType[*control.JobError](err)
	if isJob && !hasType[*fault.NotReached](err) && !errors.Is(err, control.ErrPermission) {
		return &fault.NotReached{Err: err}
	}
	return err
}

// WasKilled reports whether err has no other cause than an instance that had to be killed when it was stopped.
func WasKilled(err error) bool {
	return hasType[*control.KilledError](err) && !hasType[*control.InstanceError](err)
}

// canRetry reports whether a failed undo may succeed later, for example after a lost connection, so that its intent must be
// kept. An error of a unit that does not run as it should would happen again.
func canRetry(err error) bool {
	return err != nil && slices.ContainsFunc(fault.Flatten(err), func(e error) bool {
		return !hasType[*control.InstanceError](e) && !hasType[*control.SocketError](e) && !hasType[*control.KilledError](e) &&
			!hasType[*control.StuckError](e) && !hasType[*control.JobError](e) && !hasType[*control.RefusedError](e)
	})
}

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
