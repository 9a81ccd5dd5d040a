package manage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units/control"
)

// LogLines is how many of an instance's last lines an error has, logTimeout how long the journal may take for them.
const (
	LogLines   = 20
	logTimeout = 30 * time.Second
)

// Explain adds the last log lines of an instance that did not come up, from the journal of the namespace.
func (m *Manager) Explain(ctx context.Context, err error, namespace string, since time.Time) error {
	// The context continues after an interrupt, so the journal must not be able to block the command forever.
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	var instance *control.InstanceError
	var socket *control.SocketError
	var killed *control.KilledError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &killed):
		lines, _ := m.Tail(ctx, killed.Killed.Unit, namespace, LogLines, since)
		return &fault.NotReached{Err: err, Log: lines}
	case errors.As(err, &instance):
		lines, tailErr := m.Tail(ctx, instance.Unit, namespace, LogLines, since)
		if tailErr != nil {
			lines = []string{tailErr.Error()}
		}
		return &fault.NotReached{Err: err, Log: lines}
	case errors.As(err, &socket):
		lines, _ := m.Tail(ctx, socket.Unit, "", LogLines, since)
		return &fault.NotReached{Err: err, Log: lines}
	}
	return err
}

// notReached returns the error of a job as one of kind NotReached: the command did what was asked, and the app does not run.
func notReached(err error) error {
	var already *fault.NotReached
	var refused *control.RefusedError
	var job *control.JobError
	if !errors.As(err, &already) && (errors.As(err, &refused) || errors.As(err, &job)) && !errors.Is(err, control.ErrPermission) {
		return &fault.NotReached{Err: err}
	}
	return err
}

// WasKilled reports whether the error is only that an instance had to be killed at its stop.
func WasKilled(err error) bool {
	var killed *control.KilledError
	var broken *control.InstanceError
	return errors.As(err, &killed) && !errors.As(err, &broken)
}

// canRetry reports whether an undo that failed may succeed later, as after a lost connection, so that its intent must be kept. If
// only units do not run as they should, a second try would end in the same way.
func canRetry(err error) bool {
	if err == nil {
		return false
	}
	return slices.ContainsFunc(fault.Flatten(err), func(one error) bool {
		var (
			instance *control.InstanceError
			socket   *control.SocketError
			killed   *control.KilledError
			stuck    *control.StuckError
			job      *control.JobError
			refused  *control.RefusedError
		)
		isUnit := errors.As(one, &instance) || errors.As(one, &socket) || errors.As(one, &killed) || errors.As(one, &stuck) ||
			errors.As(one, &job) || errors.As(one, &refused)
		return !isUnit
	})
}
