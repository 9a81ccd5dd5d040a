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
	// LogLines is the number of log lines that are added to the error of an instance.
	LogLines   = 20
	logTimeout = 30 * time.Second
)

// Explain returns err with the last log lines of the unit that caused it. namespace is the name of the journal with the logs
// of the instances.
func (m *Manager) Explain(ctx context.Context, err error, namespace string, since time.Time) error {
	// The caller's context may ignore interrupts. The timeout ends the command even if the journal does not respond.
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

// notReached wraps the error of a job in a [fault.NotReached], because the command has done its work and the app does not
// run as requested. notReached returns other errors unchanged.
func notReached(err error) error {
	isJob := hasType[*control.RefusedError](err) || hasType[*control.JobError](err)
	if isJob && !hasType[*fault.NotReached](err) && !errors.Is(err, control.ErrPermission) {
		return &fault.NotReached{Err: err}
	}
	return err
}

// WasKilled reports whether err is the error of an instance that was killed at its stop. WasKilled returns false if an
// instance has also failed to start.
func WasKilled(err error) bool {
	return hasType[*control.KilledError](err) && !hasType[*control.InstanceError](err)
}

// canRetry reports whether a failed undo may succeed when the next command repeats it, for example after a lost connection.
// The intent must then stay on disk. If all errors are about units that do not start or stop, a second undo would fail in
// the same way.
func canRetry(err error) bool {
	return err != nil && slices.ContainsFunc(fault.Flatten(err), func(e error) bool {
		return !hasType[*control.InstanceError](e) && !hasType[*control.SocketError](e) && !hasType[*control.KilledError](e) &&
			!hasType[*control.StuckError](e) && !hasType[*control.JobError](e) && !hasType[*control.RefusedError](e)
	})
}

// Kills records the instances that systemd killed during a command because their stop or start took too long.
type Kills struct {
	mu  sync.Mutex
	all []kill
}

type kill struct {
	control.Killed
	reported bool // true if an error of the command names the instance
}

// Add records a killed instance, and returns false if the instance was already recorded. Several goroutines may call Add at
// the same time.
func (k *Kills) Add(killed control.Killed) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.ContainsFunc(k.all, func(e kill) bool { return e.Unit == killed.Unit && e.Op == killed.Op }) {
		return false
	}
	k.all = append(k.all, kill{Killed: killed})
	return true
}

// The method mark sets the fields Killed and Reason in the results of killed instances.
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

// takeUnreported returns the instances of the app n that were killed during a stop and are not marked as reported, and marks
// these instances as reported. If n is empty, takeUnreported returns the instances of all apps.
func (k *Kills) takeUnreported(n units.Name) []control.Killed {
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

// WithKilled adds to err an error for each unreported instance of the app that was killed at its stop. A killed program may
// have lost data, so the command must fail.
func (m *Manager) WithKilled(ctx context.Context, a units.App, err error, since time.Time) error {
	errs := []error{err}
	for _, k := range m.Kills.takeUnreported(a.Name) {
		errs = append(errs, m.explainKilled(ctx, &control.KilledError{Killed: k}, a, since, ""))
	}
	return errors.Join(errs...)
}

// explainKilled returns the error of a killed instance with its last log lines and a hint that shows how to set a longer
// timeout. The parameter addition is a text that explainKilled appends to this hint.
func (m *Manager) explainKilled(ctx context.Context, err error, a units.App, since time.Time, addition string) error {
	err = fault.WithHint(err, "to allow more than %s: --stop-timeout of \"clusterctl install\", or stop-timeout in clusterctl.yaml%s",
		cmp.Or(a.Timeouts.Stop, contract.StopTimeout), addition)
	return m.Explain(context.WithoutCancel(ctx), err, a.LogNamespace(), since)
}
