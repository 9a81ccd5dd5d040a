package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// heal brings the listeners back that no client reaches. It needs root. A TCP listener that was shut down listens again. Any
// other one needs a new socket, which heal opens. Then replaced is true, and the caller must replace the workers, which
// still have the old socket; so it is where a heal was killed before that.
func (e *env) heal(ctx context.Context, conn *control.Conn, a units.App) (replaced bool, err error) {
	u, err := e.listenAgain(ctx, conn, a)
	if err != nil {
		return false, err
	}
	if held := u.Held(); len(held) > 0 {
		return false, fault.WithHint(fmt.Errorf("%s: a worker has shut down %s, and the workers hold the name", a.Name, strings.Join(status.Addresses(held), " ")), "%s", status.StopAndStart(a.Name))
	}
	var names []string
	for _, l := range u.All() {
		e.note("%s: clients do not reach %s any more, so the socket is opened again", a.Name, l)
		if unit := a.SocketUnit(l); !slices.Contains(names, unit) {
			names = append(names, unit)
		}
	}
	if len(names) == 0 {
		return len(u.Late) > 0, nil
	}
	ctx = context.WithoutCancel(ctx) // no socket stays closed
	for _, unit := range names {
		if err := alone(ctx, conn, control.Stop, unit); err != nil {
			return false, err
		}
	}
	return true, e.openSockets(ctx, conn, a.Name, names)
}

// listenAgain makes the TCP listeners of the app listen again that a worker has shut down. It returns what needs a new socket.
func (e *env) listenAgain(ctx context.Context, conn *control.Conn, a units.App) (status.Unreachable, error) {
	if len(a.Listen) == 0 || e.euid != 0 {
		return status.Unreachable{}, nil // the workers, and the job of an operator's reload, do it
	}
	listed, _ := e.listed(a.Name) // without the list, only the listeners are looked at
	states, err := conn.States(ctx, status.Units(a, listed))
	if err != nil {
		return status.Unreachable{}, err
	}
	sockets, _ := inspect.Look() // without the sockets there is nothing to bring back
	u := status.FindUnreachable(e.host, a, states, sockets)
	if len(u.Silent) == 0 {
		return u, nil
	}
	var shut []inspect.Address
	for _, l := range u.Silent {
		at, _ := status.AddressOf(l)
		shut = append(shut, at)
	}
	n, err := inspect.ListenAgain(shut)
	if n > 0 {
		e.note("%s: a worker had shut down the listener; it listens again", a.Name)
	}
	sockets, _ = inspect.Look()
	u = status.FindUnreachable(e.host, a, states, sockets)
	if err == nil {
		// PID 1 has no such socket for the ports that are left: a drop-in may have put the socket into another network.
		u.Silent = slices.DeleteFunc(u.Silent, func(l units.Listener) bool { return l.Network == units.TCP })
	} else {
		e.note("%s: %v", a.Name, err)
	}
	return u, nil
}

// healAlone is heal where no socket may be opened again, so such a listener is an error: for one instance, since all of them
// would need it, and for the job of a reload of the aggregate, which has to go off before PID 1 opens its socket.
func (e *env) healAlone(ctx context.Context, conn *control.Conn, a units.App) error {
	u, err := e.listenAgain(ctx, conn, a)
	if all := u.All(); err == nil && len(all) > 0 {
		err = fault.WithHint(fmt.Errorf("%s: clients do not reach %s", a.Name, strings.Join(status.Addresses(all), " ")), "sudo clusterctl reload %s", a.Name)
	}
	return err
}
