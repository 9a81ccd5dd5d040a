package resolve

import (
	"fmt"
	"slices"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// checkMulticast notes which sockets each instance opens itself because they join a multicast group. The membership belongs
// to the open socket. PID 1 keeps a shared socket open, so the next worker could not join again.
func (r *Resolver) checkMulticast(a units.App, found contract.Report) error {
	var said []uint16
	for _, b := range found.Binds {
		if !b.Multicast || slices.Contains(said, b.Port) {
			continue
		}
		said = append(said, b.Port)
		for _, l := range a.Listen {
			if l.Network == units.UDP && l.ProgramPort() == b.Port {
				return fault.WithHint(fmt.Errorf("the program joins a multicast group on UDP port %d, which cannot be shared", b.Port),
					"omit --listen %s, so that each instance has its own socket", l)
			}
		}
		r.Note("probe: the program joins a multicast group on UDP port %d, so each instance opens this socket itself", b.Port)
	}
	return nil
}

// setOptions gives the units the options that the program set on its sockets before it bound them. The user of the program
// can write the report, so the shim sets options that need a capability: it has only the capabilities of the worker.
func (r *Resolver) setOptions(a *units.App, found contract.Report) {
	a.SocketOptions = nil
	for _, l := range a.Listen {
		name := l.FDName()
		if len(a.Sockets()) == 1 {
			name = ""
		}
		for _, b := range found.Binds {
			if !replaces(b, l) {
				continue
			}
			for _, p := range b.Options {
				o, ok := units.ProgramOption(p.Name, p.Number, p.Text)
				o.Listener = name
				same := func(q units.SocketOption) bool { return q.Listener == o.Listener && q.Key == o.Key }
				if ok && !o.Trusted() && o.Fits(l) && !slices.ContainsFunc(a.SocketOptions, same) {
					a.SocketOptions = append(a.SocketOptions, o)
					r.Note("probe: keeping %s of %s", o, l.Description())
				}
			}
		}
	}
}

// replaces reports whether the listener replaces the socket that the program bound.
func replaces(b contract.ProbeBind, l units.Listener) bool {
	switch {
	case b.Family == "unix":
		return l.Network == units.Unix && l.Bind == 0 && l.Path == b.Address
	case b.Multicast || b.Port != l.ProgramPort():
		return false
	}
	return (b.Type == "dgram") == (l.Network == units.UDP)
}

// noteProgramMode notes the mode that the program gives its Unix socket, if the socket of the app has another mode.
func (r *Resolver) noteProgramMode(a units.App, found contract.Report) {
	given := []string{"0755", "0750", units.FormatSocketMode(a.SocketAccess().Mode)} // by the umask of the unit
	for _, b := range found.Binds {
		if b.Mode != "" && slices.Contains(a.SocketFiles(), b.Address) && !slices.Contains(given, b.Mode) {
			r.Note("probe: the program creates %s with mode %s, clusterctl with mode %s; to change it: --socket-mode %[2]s",
				text.Printable(b.Address), text.Printable(b.Mode), given[2])
		}
	}
}
