package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// openSockets starts sockets of an app that runs. systemd refuses to start a socket whose Service= is active ("Socket
// service … already active, refusing"), so the aggregate, which is no more than a mark, goes off alone and comes back:
// instances and other sockets are not touched, and a request that comes meanwhile would only start it again.
func (e *env) openSockets(ctx context.Context, conn *control.Conn, n units.Name, sockets []string) error {
	states, err := conn.States(ctx, []string{n.Service()})
	if err != nil {
		return err
	}
	if states[0].Up() {
		if err := alone(ctx, conn, control.Stop, n.Service()); err != nil {
			return err
		}
	}
	err = e.startSockets(ctx, conn, sockets)
	// Also after an error: an app whose aggregate is down would be started anew by its next request.
	return errors.Join(err, alone(context.WithoutCancel(ctx), conn, control.Start, n.Service()))
}

// alone does one thing to one unit, and to no other on its account.
func alone(ctx context.Context, conn *control.Conn, op control.Op, unit string) error {
	outcomes, err := conn.Do(ctx, op, control.Alone, unit)
	if err != nil {
		return err
	}
	if o := outcomes[0]; o.Err != nil {
		return fmt.Errorf("%s of %s: %w", op, unit, o.Err)
	} else if o.Result != control.Done {
		return &control.JobError{Unit: unit, Op: op, Result: o.Result}
	}
	return nil
}

func (e *env) startSockets(ctx context.Context, conn *control.Conn, sockets []string) error {
	outcomes, err := conn.Do(ctx, control.Start, control.Replace, sockets...)
	if err != nil {
		return err
	}
	states, err := conn.States(ctx, sockets)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if s := states[i]; o.Err != nil {
			return fmt.Errorf("start of %s: %w", o.Unit, o.Err)
		} else if !s.Up() {
			reason := control.Explain(s)
			if reason == "" {
				reason = "it is not listening"
			}
			return &control.SocketError{Unit: s.Unit, Listen: s.Listen, Reason: reason, State: s}
		}
	}
	return nil
}

// closeSockets stops sockets that are not the app's any more, and removes what kept them alive.
func (e *env) closeSockets(ctx context.Context, conn *control.Conn, p install.Plan, sockets []string) error {
	e.note("%s: closing %s", p.App, strings.Join(sockets, " "))
	if _, err := conn.Do(ctx, control.Stop, control.Replace, sockets...); err != nil {
		return err
	}
	e.removeUnixSockets(p.Changes)
	return errors.Join(conn.ResetFailed(ctx, sockets...), e.dropRuntime(p))
}

// dropRuntime removes the copies in /run of the socket units that a plan removes.
func (e *env) dropRuntime(p install.Plan) error {
	var errs []error
	for _, unit := range (change{files: p.Changes}).sockets(install.Remove) {
		errs = append(errs, e.store.RemoveRuntime(p.App, unit))
	}
	return errors.Join(errs...)
}

// removeUnixSockets removes the files of those Unix sockets that one side of the changes has and the other has not;
// systemd leaves them (RemoveOnStop=). They must be stopped.
func (e *env) removeUnixSockets(files []install.Change) {
	var kept, gone []units.Listener
	for _, f := range files {
		if f.Kind() == units.KindSocket {
			kept, gone = append(kept, units.ReadSocket(f.New).Listeners...), append(gone, units.ReadSocket(f.Old).Listeners...)
		}
	}
	for _, l := range gone {
		if l.Network == units.Unix && !slices.Contains(kept, l) {
			e.removeSocket(l.Path)
		}
	}
}
