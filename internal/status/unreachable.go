package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Unreachable has, for each cause, the listeners of a running app that clients cannot reach.
type Unreachable struct {
	ShutDown    []units.Listener // a worker has shut down the listener (shutdown(2))
	FileGone    []units.Listener // the file of the Unix socket was removed, or belongs to another socket
	Closed      []units.Listener // PID 1 has not opened the listener, for example after a command that was killed
	OpenedLater []string         // socket units that were opened after the start of an instance, so the instance does not have the socket
}

// All returns the listeners in ShutDown, FileGone and Closed.
func (u Unreachable) All() []units.Listener { return slices.Concat(u.ShutDown, u.FileGone, u.Closed) }

// FindUnreachable returns the listeners of an app that clients cannot reach. The states must be in the order of [Units]. If
// the parameter open is nil, FindUnreachable returns no listeners.
func FindUnreachable(h inspect.Host, a units.App, states []control.State, open *inspect.Sockets) (u Unreachable) {
	if open == nil {
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
		case stream && open.Silent(at):
			u.ShutDown = append(u.ShutDown, l)
		case slices.Contains(files, l.Path) && open.Lost(l.Path, h):
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

// Problem returns a text with a problem and the command that solves it. Problem returns "" if clients can reach all
// listeners.
func (u Unreachable) Problem(n units.Name) string {
	words := func(list []units.Listener) string { return strings.Join(Addresses(list), " ") }
	reload := fmt.Sprintf("sudo clusterctl reload %s", n)
	switch {
	case len(u.ShutDown) > 0:
		list, command := u.ShutDown, reload
		if names := u.NeedStop(); len(names) > 0 {
			list, command = names, StopAndStart(n)
		}
		return fmt.Sprintf("a worker has shut down the listener on %s, so every connection is refused; %s", words(list), command)
	case len(u.FileGone) > 0:
		return fmt.Sprintf("%s: the socket file is missing or was replaced; to create it again: %s", u.FileGone[0].Path, reload)
	case len(u.Closed) > 0:
		return fmt.Sprintf("%s is closed, so every connection is refused; %s", words(u.Closed), reload)
	case len(u.OpenedLater) > 0:
		return fmt.Sprintf("%s was opened after the start of an instance, which does not serve it; %s",
			strings.Join(u.OpenedLater, " "), reload)
	}
	return ""
}

// NeedStop returns the listeners with abstract names that a worker has shut down. To open such a listener again, all workers
// must be stopped, because the name is in use as long as a worker has the old socket.
func (u Unreachable) NeedStop() []units.Listener {
	var list []units.Listener
	for _, l := range u.ShutDown {
		if strings.HasPrefix(l.Path, "@") {
			list = append(list, l)
		}
	}
	return list
}

// StopAndStart returns a command line that stops an app and starts it again.
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

// Cut describes the connections of an instance that were in use at the end of its drain. The stop signal follows the drain,
// and most programs then close their connections.
type Cut struct {
	Connections int `json:"connections"`
	// DrainMs is how long the drain took.
	DrainMs int64     `json:"drainMs"`
	Peers   []CutPeer `json:"peers"`
}

// CutPeer is the peer of a connection that was in use. For a Unix socket, the field Address is empty. RequestMs is the time
// from the last data of the peer to the stop signal.
type CutPeer struct {
	Address   string `json:"address,omitempty"`
	RequestMs int64  `json:"requestMs"`
}

// CutOf returns the connections of an instance that were in use at its last stop. CutOf returns nil if there were no such
// connections, or if the last drain ended earlier than since.
func CutOf(h inspect.Host, n units.Name, instance int, since time.Time) *Cut {
	r, found := h.LeftOf(string(n), instance, since)
	if !found {
		return nil
	}
	cut := &Cut{Connections: r.Count, DrainMs: r.Waited.Milliseconds(), Peers: []CutPeer{}}
	for _, c := range r.Connections {
		cut.Peers = append(cut.Peers, CutPeer{Address: c.Peer, RequestMs: c.Request.Milliseconds()})
	}
	return cut
}

func (c *Cut) String() string {
	const most = 3
	var peers []string
	for _, p := range c.Peers[:min(len(c.Peers), most)] {
		name := cmp.Or(p.Address, "a Unix socket")
		if p.RequestMs > 0 {
			name += fmt.Sprintf(" (sent its last request %s before)", text.Duration(time.Duration(p.RequestMs)*time.Millisecond))
		}
		peers = append(peers, name)
	}
	if more := c.Connections - len(peers); more > 0 {
		peers = append(peers, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("stopped with %s in use after a drain of %s: %s", text.Count(c.Connections, "connection"),
		text.Duration(time.Duration(c.DrainMs)*time.Millisecond), strings.Join(peers, ", "))
}
