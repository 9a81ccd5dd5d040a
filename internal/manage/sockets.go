package manage

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// openSockets starts sockets of a running app. systemd refuses to start a socket whose Service= is active ("Socket service …
// already active, refusing"), so openSockets stops the aggregate, which has no process, and then starts it again. Instances
// and other sockets stay as they are. A connection that arrives in between can only start the aggregate.
func (s *Session) openSockets(ctx context.Context, sockets []string) error {
	states, err := s.Conn.States(ctx, []string{s.Name.Service()})
	if err != nil {
		return err
	}
	if states[0].Up() {
		if err := s.isolatedJob(ctx, control.Stop, s.Name.Service()); err != nil {
			return err
		}
	}
	err = s.startSockets(ctx, sockets)
	// The aggregate must start even after an error, because otherwise the next request would start the app.
	return errors.Join(err, s.isolatedJob(context.WithoutCancel(ctx), control.Start, s.Name.Service()))
}

// isolatedJob runs a job for one unit, without jobs for its dependencies.
func (s *Session) isolatedJob(ctx context.Context, op control.Op, unit string) error {
	outcomes, err := s.Conn.Do(ctx, op, control.IgnoreDependencies, unit)
	if err != nil {
		return err
	}
	return jobError(outcomes[0], op)
}

// jobError returns an error if a job was refused or failed.
func jobError(o control.Outcome, op control.Op) error {
	switch {
	case o.Err != nil:
		return &control.RefusedError{Unit: o.Unit, Op: op, Err: o.Err}
	case o.Result != control.Done:
		return &control.JobError{Unit: o.Unit, Op: op, Result: o.Result}
	}
	return nil
}

// startSockets starts sockets, and returns an error if one of them does not listen afterwards.
func (s *Session) startSockets(ctx context.Context, sockets []string) error {
	outcomes, err := s.Conn.Do(ctx, control.Start, control.Replace, sockets...)
	if err != nil {
		return err
	}
	states, err := s.Conn.States(ctx, sockets)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if o.Err != nil {
			return jobError(o, control.Start)
		}
		if st := states[i]; !st.Up() {
			reason := cmp.Or(control.Explain(st), "it is not listening")
			return &control.SocketError{Unit: st.Unit, Listen: st.Listen, Reason: reason, State: st}
		}
	}
	return nil
}

// closeSockets stops sockets that the changes remove, and removes the copies of their units in /run.
func (s *Session) closeSockets(ctx context.Context, files []install.Change, sockets []string) error {
	s.Note("%s: closing %s", s.Name, strings.Join(sockets, " "))
	if _, err := s.Conn.Do(ctx, control.Stop, control.Replace, sockets...); err != nil {
		return err
	}
	s.removeOldSockets(files)
	return errors.Join(s.Conn.ResetFailed(ctx, sockets...), s.dropRuntime(files))
}

// dropRuntime removes the copies in /run of the socket units that the changes remove.
func (s *Session) dropRuntime(files []install.Change) error {
	var errs []error
	for _, unit := range (change{files: files}).sockets(install.Remove) {
		errs = append(errs, s.Store.RemoveRuntime(s.Name, unit))
	}
	return errors.Join(errs...)
}

// removeOldSockets removes the files of Unix sockets that the changes remove. The sockets must be stopped.
func (s *Session) removeOldSockets(files []install.Change) {
	var before, after []units.Listener
	for _, f := range files {
		if f.Kind() == units.KindSocket {
			before = append(before, units.ReadSocket(f.Old).Listeners...)
			after = append(after, units.ReadSocket(f.New).Listeners...)
		}
	}
	s.removeSockets(slices.DeleteFunc(before, func(l units.Listener) bool { return slices.Contains(after, l) }))
}

// removeSockets removes the files of stopped Unix sockets, because systemd does not (RemoveOnStop=). No command depends on
// this, so an error is only a note.
func (s *Session) removeSockets(listeners []units.Listener) {
	for _, path := range (units.App{Listen: listeners}).SocketFiles() {
		if err := install.RemoveSocket(path); err != nil {
			s.Note("not removed: %v", err)
		}
	}
}
