package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// unreachable are the listeners of a running app that clients do not reach.
type unreachable struct {
	silent []units.Listener // a worker has shut the listener down (shutdown(2))
	lost   []units.Listener // Unix sockets whose file is gone, or is that of another socket
	closed []units.Listener // PID 1 does not have them, as after a heal that was killed
	late   []string         // sockets that were opened after an instance had started, which does not have them
}

func (u unreachable) all() []units.Listener { return slices.Concat(u.silent, u.lost, u.closed) }

func (e *env) unreachable(a units.App, states []control.State, seen *inspect.Sockets) (u unreachable) {
	if seen == nil {
		return u
	}
	files := a.SocketFiles()
	for _, l := range a.Listen {
		at, stream := addressOf(l)
		k := slices.Index(a.Sockets(), socketUnit(a, l))
		switch {
		case k < 0 || states[1+k].Load == control.Masked:
		case !states[1+k].Up() && states[0].Up():
			u.closed = append(u.closed, l)
		case !states[1+k].Up():
		case stream && seen.Silent(at):
			u.silent = append(u.silent, l)
		case slices.Contains(files, l.Path) && seen.Lost(l.Path, e.host):
			u.lost = append(u.lost, l)
		}
	}
	sockets, instances := states[1:1+len(a.Sockets())], states[1+len(a.Sockets()):]
	for _, socket := range sockets {
		if slices.ContainsFunc(instances, func(one control.State) bool { return one.Up() && socket.Up() && one.ActiveBefore(socket) }) {
			u.late = append(u.late, socket.Unit)
		}
	}
	return u
}

func socketUnit(a units.App, l units.Listener) string {
	return a.Name.Socket(a.Listen[0].FDName(), l.FDName())
}

// problem says in words what clients meet, and what to type.
func (u unreachable) problem(n units.Name) string {
	switch {
	case len(u.held()) > 0:
		return fmt.Sprintf("a worker has shut down the listener on %s, so every connection is refused; %s", listenersOf(u.held()), stopAndStart(n))
	case len(u.silent) > 0:
		return fmt.Sprintf("a worker has shut down the listener on %s, so every connection is refused; sudo clusterctl reload %s", listenersOf(u.silent), n)
	case len(u.lost) > 0:
		return fmt.Sprintf("%s: the socket file is gone; to bring it back: sudo clusterctl reload %s", u.lost[0].Path, n)
	case len(u.closed) > 0:
		return fmt.Sprintf("%s is closed, so every connection is refused; sudo clusterctl reload %s", listenersOf(u.closed), n)
	case len(u.late) > 0:
		return fmt.Sprintf("%s was opened after an instance had started, which does not serve it; sudo clusterctl reload %s", strings.Join(u.late, " "), n)
	}
	return ""
}

// held returns the listeners on abstract names that were shut down. Each worker holds the name until it ends, so heal cannot
// open such a socket beside the workers.
func (u unreachable) held() []units.Listener {
	var list []units.Listener
	for _, l := range u.silent {
		if strings.HasPrefix(l.Path, "@") {
			list = append(list, l)
		}
	}
	return list
}

// stopAndStart returns what to type where the sockets can only be opened without workers.
func stopAndStart(n units.Name) string {
	return fmt.Sprintf("sudo clusterctl stop %s && sudo clusterctl start %[1]s", n)
}

// listenersOf names listeners as --listen takes them.
func listenersOf(list []units.Listener) string {
	var all []string
	for _, l := range list {
		all = append(all, l.String())
	}
	return strings.Join(all, " ")
}

// heal brings the listeners back that no client reaches. It needs root. A TCP listener that was shut down listens again. Any
// other one needs a new socket, which heal opens. Then replaced is true, and the caller must replace the workers, which
// still have the old socket; so it is where a heal was killed before that.
func (e *env) heal(ctx context.Context, conn *control.Conn, a units.App) (replaced bool, err error) {
	u, err := e.listenAgain(ctx, conn, a)
	if err != nil {
		return false, err
	}
	if held := u.held(); len(held) > 0 {
		return false, fault.WithHint(fmt.Errorf("%s: a worker has shut down %s, and the workers hold the name", a.Name, listenersOf(held)), "%s", stopAndStart(a.Name))
	}
	var names []string
	for _, l := range u.all() {
		e.note("%s: clients do not reach %s any more, so the socket is opened again", a.Name, l)
		if unit := socketUnit(a, l); !slices.Contains(names, unit) {
			names = append(names, unit)
		}
	}
	if len(names) == 0 {
		return len(u.late) > 0, nil
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
func (e *env) listenAgain(ctx context.Context, conn *control.Conn, a units.App) (unreachable, error) {
	if len(a.Listen) == 0 || e.euid != 0 {
		return unreachable{}, nil // the workers, and the job of an operator's reload, do it
	}
	listed, _ := e.listed(a.Name) // without the list, only the listeners are looked at
	states, err := conn.States(ctx, unitsOf(a, listed))
	if err != nil {
		return unreachable{}, err
	}
	sockets, _ := inspect.Look() // without the sockets there is nothing to bring back
	u := e.unreachable(a, states, sockets)
	if len(u.silent) == 0 {
		return u, nil
	}
	var shut []inspect.Address
	for _, l := range u.silent {
		at, _ := addressOf(l)
		shut = append(shut, at)
	}
	n, err := inspect.ListenAgain(shut)
	if n > 0 {
		e.note("%s: a worker had shut down the listener; it listens again", a.Name)
	}
	sockets, _ = inspect.Look()
	u = e.unreachable(a, states, sockets)
	if err == nil {
		// PID 1 has no such socket for the ports that are left: a drop-in may have put the socket into another network.
		u.silent = slices.DeleteFunc(u.silent, func(l units.Listener) bool { return l.Network == units.TCP })
	} else {
		e.note("%s: %v", a.Name, err)
	}
	return u, nil
}

// healAlone is heal where no socket may be opened again, so such a listener is an error: for one instance, since all of them
// would need it, and for the job of a reload of the aggregate, which has to go off before PID 1 opens its socket.
func (e *env) healAlone(ctx context.Context, conn *control.Conn, a units.App) error {
	u, err := e.listenAgain(ctx, conn, a)
	if all := u.all(); err == nil && len(all) > 0 {
		err = fault.WithHint(fmt.Errorf("%s: clients do not reach %s", a.Name, listenersOf(all)), "sudo clusterctl reload %s", a.Name)
	}
	return err
}
