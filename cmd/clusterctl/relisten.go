package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// silentListeners returns the listeners whose socket PID 1 holds, and that do not listen: a worker has shut them down.
func silentListeners(a units.App, states []control.State, sockets *inspect.Sockets) []units.Listener {
	var silent []units.Listener
	for _, l := range a.Listen {
		at, stream := addressOf(l)
		unit := a.Name.Socket(a.Listen[0].FDName(), l.FDName())
		k := slices.Index(a.Sockets(), unit)
		if stream && sockets != nil && k >= 0 && states[1+k].Up() && sockets.Silent(at) {
			silent = append(silent, l)
		}
	}
	return silent
}

// silence says in words that an app has such listeners.
func silence(n units.Name, silent []units.Listener) string {
	var all []string
	for _, l := range silent {
		all = append(all, l.String())
	}
	return fmt.Sprintf("a worker has shut down the listener on %s, so every connection is refused; clusterctl restart %s", strings.Join(all, " "), n)
}

// mustListen is listenAgain for a command that goes on with the sockets that are there.
func (e *env) mustListen(ctx context.Context, conn *control.Conn, a units.App) error {
	silent, err := e.listenAgain(ctx, conn, a)
	if err != nil || len(silent) == 0 {
		return err
	}
	err = fmt.Errorf("%s: a worker has shut down the listener on %s, and only a new socket helps", a.Name, silent[0])
	return withHint(err, "sudo clusterctl restart %s", a.Name)
}

// listenAgain brings back the listeners of the app that a worker has shut down. It returns the listeners that stay shut down.
func (e *env) listenAgain(ctx context.Context, conn *control.Conn, a units.App) ([]units.Listener, error) {
	if len(a.Listen) == 0 || e.euid != 0 {
		return nil, nil // the workers, and the job of an operator's reload, do it
	}
	states, err := conn.States(ctx, unitsOf(a, 0))
	if err != nil {
		return nil, err
	}
	sockets, _ := inspect.Look() // without the sockets there is nothing to bring back
	silent := silentListeners(a, states, sockets)
	if len(silent) == 0 {
		return nil, nil
	}
	var lost []inspect.Address
	for _, l := range silent {
		at, _ := addressOf(l)
		lost = append(lost, at)
	}
	n, err := inspect.ListenAgain(lost)
	if err != nil {
		e.note("%s: %v", a.Name, err)
	}
	if n > 0 {
		e.note("%s: a worker had shut down the listener; it listens again", a.Name)
	}
	sockets, _ = inspect.Look()
	left := silentListeners(a, states, sockets)
	if err == nil {
		// PID 1 has no such socket for the ports that are left: a drop-in may have put the socket into another network.
		left = slices.DeleteFunc(left, func(l units.Listener) bool { return l.Network == units.TCP })
	}
	return left, nil
}
