package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

func lostWords(n units.Name, path string) string {
	return fmt.Sprintf("%s: the socket file is gone; to bring it back: sudo clusterctl reload %s", path, n)
}

// lostListeners are the Unix listeners of the app that no client finds.
func (e *env) lostListeners(a units.App) (lost []units.Listener) {
	files := a.SocketFiles()
	if len(files) == 0 {
		return nil
	}
	sockets, err := inspect.Look()
	for _, l := range a.Listen {
		if err == nil && slices.Contains(files, l.Path) && sockets.Lost(l.Path, e.host) {
			lost = append(lost, l)
		}
	}
	return lost
}

// reopenLost opens the Unix sockets of an app again if clients do not find them, and reports whether there was one. It needs
// root. No client reaches the old listener, which the workers still have, so the caller must replace the workers.
func (e *env) reopenLost(ctx context.Context, conn *control.Conn, a units.App) (bool, error) {
	lost := e.lostListeners(a)
	if len(lost) == 0 {
		return false, nil
	}
	var names []string
	for _, l := range lost {
		e.note("%s: the socket file %s is gone, and is made again", a.Name, printable(l.Path))
		if unit := a.Name.Socket(a.Listen[0].FDName(), l.FDName()); !slices.Contains(names, unit) {
			names = append(names, unit)
		}
	}
	for _, unit := range names {
		if err := alone(ctx, conn, control.Stop, unit); err != nil {
			return false, err
		}
	}
	return true, e.openSockets(context.WithoutCancel(ctx), conn, a.Name, names)
}
