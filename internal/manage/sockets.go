package manage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/status"
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

// reopenListeners opens each listener again that clients do not reach. A TCP listener that a worker has shut down only has
// to listen again. Any other listener gets a new socket; replaced is then true, and the caller must replace the workers,
// which still have the old socket. replaced is also true if an earlier command was killed between the two. Without root,
// reopenListeners does nothing.
func (s *Session) reopenListeners(ctx context.Context) (replaced bool, err error) {
	u, err := s.listenAgain(ctx, s.app)
	if err != nil {
		return false, err
	}
	if held := u.Held(); len(held) > 0 {
		err := fmt.Errorf("%s: a worker has shut down %s, and the workers hold the name", s.Name, strings.Join(status.Addresses(held), " "))
		return false, fault.WithHint(err, "%s", status.StopAndStart(s.Name))
	}
	var names []string
	for _, l := range u.All() {
		s.Note("%s: clients do not reach %s any more, so the socket is opened again", s.Name, l)
		if unit := s.app.SocketUnit(l); !slices.Contains(names, unit) {
			names = append(names, unit)
		}
	}
	if len(names) == 0 {
		return len(u.Late) > 0, nil
	}
	ctx = context.WithoutCancel(ctx) // an interrupt must not leave a socket closed
	for _, unit := range names {
		if err := s.isolatedJob(ctx, control.Stop, unit); err != nil {
			return false, err
		}
	}
	return true, s.openSockets(ctx, names)
}

// ensureListening makes TCP listeners listen again that a worker has shut down. It returns an error for a listener that
// needs a new socket. A command on one instance must not open a socket, because then all instances must be replaced. The
// reload job of the aggregate cannot open a socket, because PID 1 requires that the aggregate is stopped.
func (s *Session) ensureListening(ctx context.Context, a units.App) error {
	u, err := s.listenAgain(ctx, a)
	if all := u.All(); err == nil && len(all) > 0 {
		err = fault.WithHint(fmt.Errorf("%s: clients do not reach %s", s.Name, strings.Join(status.Addresses(all), " ")),
			"sudo clusterctl reload %s", s.Name)
	}
	return err
}

// listenAgain makes TCP listeners listen again that a worker has shut down, and returns the listeners that need a new
// socket.
func (s *Session) listenAgain(ctx context.Context, a units.App) (u status.Unreachable, err error) {
	if len(a.Listen) == 0 || !s.Root {
		return u, nil // without root, the workers and the job of a reload do it
	}
	states, err := s.Conn.States(ctx, status.Units(a, s.listed)) // s.listed may be 0, because only the sockets matter
	if err != nil {
		return u, err
	}
	sockets, _ := s.Sockets() // after an error nothing is unreachable
	u = status.FindUnreachable(s.Host, a, states, sockets)
	if len(u.Silent) == 0 {
		return u, nil
	}
	var shutDown []inspect.Address
	for _, l := range u.Silent {
		address, _ := status.AddressOf(l)
		shutDown = append(shutDown, address)
	}
	n, err := inspect.ListenAgain(shutDown)
	if n > 0 {
		s.Note("%s: a worker had shut down the listener; it listens again", s.Name)
	}
	sockets, _ = s.Sockets()
	u = status.FindUnreachable(s.Host, a, states, sockets)
	if err == nil {
		// PID 1 has no visible socket for the remaining ports: a drop-in may have put it into another network namespace.
		u.Silent = slices.DeleteFunc(u.Silent, func(l units.Listener) bool { return l.Network == units.TCP })
	} else {
		s.Note("%s: %v", s.Name, err)
	}
	return u, nil
}
