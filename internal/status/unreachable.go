package status

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Unreachable are the listeners of a running app that clients cannot reach.
type Unreachable struct {
	ShutDown    []units.Listener // a worker has shut down the listener (shutdown(2))
	FileGone    []units.Listener // Unix sockets whose file is gone, or belongs to another socket
	Closed      []units.Listener // PID 1 does not have them open, as after a command that was killed
	OpenedLater []string         // sockets opened after the start of an instance, so that the instance does not have them
}

// All returns the unreachable listeners, without the sockets of Late.
func (u Unreachable) All() []units.Listener { return slices.Concat(u.ShutDown, u.FileGone, u.Closed) }

// FindUnreachable returns the listeners of an app that clients cannot reach. The states must be in the order of [Units].
// seen may be nil.
func FindUnreachable(h inspect.Host, a units.App, states []control.State, seen *inspect.Sockets) (u Unreachable) {
	if seen == nil {
		return u
	}
	files := a.SocketFiles()
	for _, l := range a.Listen {
		at, stream := AddressOf(l)
		k := slices.Index(a.Sockets(), a.SocketUnit(l))
		switch {
		case k < 0 || states[1+k].Load == control.Masked:
		case !states[1+k].Up() && states[0].Up():
			u.Closed = append(u.Closed, l)
		case !states[1+k].Up():
		case stream && seen.Silent(at):
			u.ShutDown = append(u.ShutDown, l)
		case slices.Contains(files, l.Path) && seen.Lost(l.Path, h):
			u.FileGone = append(u.FileGone, l)
		}
	}
	sockets, instances := states[1:1+len(a.Sockets())], states[1+len(a.Sockets()):]
	for _, socket := range sockets {
		if slices.ContainsFunc(instances, func(one control.State) bool { return one.Up() && socket.Up() && one.ActiveBefore(socket) }) {
			u.OpenedLater = append(u.OpenedLater, socket.Unit)
		}
	}
	return u
}

// Problem returns in words what clients experience and what to type, or "" if they reach all listeners.
func (u Unreachable) Problem(n units.Name) string {
	words := func(list []units.Listener) string { return strings.Join(Addresses(list), " ") }
	reload := fmt.Sprintf("sudo clusterctl reload %s", n)
	switch {
	case len(u.NeedStop()) > 0:
		return fmt.Sprintf("a worker has shut down the listener on %s, so every connection is refused; %s", words(u.NeedStop()),
			StopAndStart(n))
	case len(u.ShutDown) > 0:
		return fmt.Sprintf("a worker has shut down the listener on %s, so every connection is refused; %s", words(u.ShutDown), reload)
	case len(u.FileGone) > 0:
		return fmt.Sprintf("%s: the socket file is gone; to bring it back: %s", u.FileGone[0].Path, reload)
	case len(u.Closed) > 0:
		return fmt.Sprintf("%s is closed, so every connection is refused; %s", words(u.Closed), reload)
	case len(u.OpenedLater) > 0:
		return fmt.Sprintf("%s was opened after the start of an instance, which does not serve it; %s", strings.Join(u.OpenedLater, " "), reload)
	}
	return ""
}

// NeedStop returns the listeners on abstract names that were shut down. Each worker holds the name until it ends, so no new
// socket can be opened while the workers run.
func (u Unreachable) NeedStop() []units.Listener {
	var list []units.Listener
	for _, l := range u.ShutDown {
		if strings.HasPrefix(l.Path, "@") {
			list = append(list, l)
		}
	}
	return list
}

// StopAndStart returns the command line that stops and starts an app, for sockets that can be opened only while no worker
// runs.
func StopAndStart(n units.Name) string {
	return fmt.Sprintf("sudo clusterctl stop %s && sudo clusterctl start %[1]s", n)
}

// Addresses returns the addresses of listeners in the form of --listen.
func Addresses(list []units.Listener) []string {
	all := []string{}
	for _, l := range list {
		all = append(all, l.String())
	}
	return all
}
