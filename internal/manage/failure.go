package manage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
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
