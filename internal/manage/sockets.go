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
// already active, refusing"). This Service= is the aggregate NAME.service, which stands for the whole app and has no
// process. Therefore openSockets stops the aggregate, starts the sockets, and starts the aggregate again. Instances and
// other sockets stay up. If a connection arrives in between, systemd only starts the aggregate.
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
	// Start the aggregate even after an error. If it stayed stopped, the next connection would start it, and with it all
	// instances that are down.
	return errors.Join(err, s.isolatedJob(context.WithoutCancel(ctx), control.Start, s.Name.Service()))
}

// isolatedJob runs a job for one unit. systemd adds no jobs for the dependencies of the unit.
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

// startSockets starts sockets, and returns an error if a socket does not listen afterwards.
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

// closeSockets stops the sockets that the changes in files remove. closeSockets also removes the copies of their units in
// /run.
func (s *Session) closeSockets(ctx context.Context, files []install.Change, sockets []string) error {
	s.Note("%s: closing %s", s.Name, strings.Join(sockets, " "))
	if _, err := s.Conn.Do(ctx, control.Stop, control.Replace, sockets...); err != nil {
		return err
	}
	s.removeOldSockets(files)
	return errors.Join(s.Conn.ResetFailed(ctx, sockets...), s.removeRuntimeCopies(files))
}

// removeRuntimeCopies removes the unit files in /run of the sockets that the changes in files remove. [update.write] has
// created these copies.
func (s *Session) removeRuntimeCopies(files []install.Change) error {
	var errs []error
	for _, unit := range (change{files: files}).sockets(install.Remove) {
		errs = append(errs, s.Store.RemoveRuntime(s.Name, unit))
	}
	return errors.Join(errs...)
}

// removeOldSockets removes the socket files of the Unix listeners that are only in the old units. The caller must have
// stopped the sockets.
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

// removeSockets removes the files of stopped Unix sockets, because systemd keeps these files (RemoveOnStop=). After an
// error, removeSockets only prints a note, because commands also work with the old files.
func (s *Session) removeSockets(listeners []units.Listener) {
	for _, path := range (units.App{Listen: listeners}).SocketFiles() {
		if err := install.RemoveSocket(path); err != nil {
			s.Note("not removed: %v", err)
		}
	}
}

// If clients cannot reach a listener, reopenListeners opens it again. For a TCP listener that a worker has shut down, a call
// of listen(2) is enough. Any other listener gets a new socket. The result replaced is then true, and the caller must
// replace all workers, because they still have the old socket. The result is also true if an earlier command was killed
// after it had opened a new socket. If the caller is not root, reopenListeners does nothing.
func (s *Session) reopenListeners(ctx context.Context) (replaced bool, err error) {
	u, err := s.listenAgain(ctx, s.app)
	if err != nil {
		return false, err
	}
	if held := u.NeedStop(); len(held) > 0 {
		err := fmt.Errorf("%s: a worker has shut down %s, whose name is in use until all workers stop", s.Name,
			strings.Join(status.Addresses(held), " "))
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
		return len(u.OpenedLater) > 0, nil
	}
	ctx = context.WithoutCancel(ctx) // an interrupt must not leave a socket closed
	for _, unit := range names {
		if err := s.isolatedJob(ctx, control.Stop, unit); err != nil {
			return false, err
		}
	}
	return true, s.openSockets(ctx, names)
}

// If a worker has shut down a TCP listener, ensureListening makes this listener listen again. ensureListening returns an
// error if a listener needs a new socket. A new socket requires the replacement of all instances, and a command on one
// instance must not replace the others. A reload job runs in the service of the app, and cannot open a socket, because
// systemd opens a socket only while this service is stopped.
func (s *Session) ensureListening(ctx context.Context, a units.App) error {
	u, err := s.listenAgain(ctx, a)
	if all := u.All(); err == nil && len(all) > 0 {
		err = fault.WithHint(fmt.Errorf("%s: clients do not reach %s", s.Name, strings.Join(status.Addresses(all), " ")),
			"sudo clusterctl reload %s", s.Name)
	}
	return err
}

// listenAgain calls listen(2) for the TCP listeners that a worker has shut down. It returns the listeners that need a new
// socket.
func (s *Session) listenAgain(ctx context.Context, a units.App) (u status.Unreachable, err error) {
	if len(a.Listen) == 0 || !s.Root {
		return u, nil // only root can make the sockets of other processes listen
	}
	states, err := s.Conn.States(ctx, status.Units(a, s.listed)) // if s.listed is 0, only states of instances are missing
	if err != nil {
		return u, err
	}
	sockets, _ := s.Sockets() // if this fails, FindUnreachable returns no listener
	u = status.FindUnreachable(s.Host, a, states, sockets)
	if len(u.ShutDown) == 0 {
		return u, nil
	}
	var shutDown []inspect.Address
	for _, l := range u.ShutDown {
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
		// ListenAgain has not found the sockets of the remaining ports. A drop-in may have put these sockets into another
		// network namespace.
		u.ShutDown = slices.DeleteFunc(u.ShutDown, func(l units.Listener) bool { return l.Network == units.TCP })
	} else {
		s.Note("%s: %v", s.Name, err)
	}
	return u, nil
}
