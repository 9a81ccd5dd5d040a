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

// openSockets starts sockets of an app that runs. systemd refuses to start a socket whose Service= is active ("Socket
// service … already active, refusing"), so openSockets stops the aggregate, which has no process, and starts it again. Instances
// and other sockets are not touched. A connection that arrives in between only starts the aggregate, too.
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
	// Also after an error: an app whose aggregate is down would be started again by its next request.
	return errors.Join(err, s.isolatedJob(context.WithoutCancel(ctx), control.Start, s.Name.Service()))
}

// isolatedJob runs a job of one unit, without the jobs that its dependencies would add.
func (s *Session) isolatedJob(ctx context.Context, op control.Op, unit string) error {
	outcomes, err := s.Conn.Do(ctx, op, control.Alone, unit)
	if err != nil {
		return err
	}
	return jobError(outcomes[0], op)
}

// jobError returns the error of a job that was refused or did not end well.
func jobError(o control.Outcome, op control.Op) error {
	switch {
	case o.Err != nil:
		return &control.RefusedError{Unit: o.Unit, Op: op, Err: o.Err}
	case o.Result != control.Done:
		return &control.JobError{Unit: o.Unit, Op: op, Result: o.Result}
	}
	return nil
}

// startSockets starts sockets, and returns an error if one does not listen then.
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

// closeSockets stops sockets that the changes remove, and deletes the copies of their units in /run.
func (s *Session) closeSockets(ctx context.Context, files []install.Change, sockets []string) error {
	s.Note("%s: closing %s", s.Name, strings.Join(sockets, " "))
	if _, err := s.Conn.Do(ctx, control.Stop, control.Replace, sockets...); err != nil {
		return err
	}
	s.removeUnixSockets(files)
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

// removeUnixSockets removes the files of Unix sockets that the changes remove: systemd leaves them (RemoveOnStop=). The sockets
// must be stopped.
func (s *Session) removeUnixSockets(files []install.Change) {
	var kept, gone []units.Listener
	for _, f := range files {
		if f.Kind() == units.KindSocket {
			kept, gone = append(kept, units.ReadSocket(f.New).Listeners...), append(gone, units.ReadSocket(f.Old).Listeners...)
		}
	}
	for _, l := range gone {
		if l.Network == units.Unix && !slices.Contains(kept, l) {
			s.removeSocket(l.Path)
		}
	}
}

// removeSockets removes the files of the Unix sockets of an app that is stopped: systemd leaves them (RemoveOnStop=).
func (s *Session) removeSockets(a units.App) {
	for _, l := range a.Listen {
		if l.Network == units.Unix {
			s.removeSocket(l.Path)
		}
	}
}

// removeSocket removes the file of a Unix socket. A file that it cannot remove is noted: nothing depends on it.
func (s *Session) removeSocket(path string) {
	if !strings.HasPrefix(path, "/") {
		return // a name in the abstract namespace has no file
	}
	if err := install.RemoveSocket(path); err != nil {
		s.Note("left in place: %v", err)
	}
}
