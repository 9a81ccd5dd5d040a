package resolve

import (
	"fmt"
	"slices"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// checkMulticast prints a note for each UDP socket that joins a multicast group, because each instance must open this socket
// itself. It returns an error if --listen has the port of this socket. Such a socket cannot be shared: PID 1 keeps a shared
// socket open, the membership stays with the open socket, and so the next worker could not join again.
func (r *Resolver) checkMulticast(a units.App, found contract.Report) error {
	var noted []uint16
	for _, b := range found.Binds {
		if !b.Multicast || slices.Contains(noted, b.Port) {
			continue
		}
		noted = append(noted, b.Port)
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

// setOptions sets the socket options of an app to the options that the program has set on its sockets. It omits trusted
// options, which need a capability: the user of the program can write the report, and PID 1 would set any trusted option in
// it.
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

// replaces reports whether listener l is for the socket that the program has bound.
func replaces(b contract.ProbeBind, l units.Listener) bool {
	switch {
	case b.Family == "unix":
		return l.Network == units.Unix && l.Bind == 0 && l.Path == b.Address
	case b.Multicast || b.Port != l.ProgramPort():
		return false
	}
	return (b.Type == "dgram") == (l.Network == units.UDP)
}

// noteProgramMode prints a note if the program gives its Unix socket another mode than clusterctl.
func (r *Resolver) noteProgramMode(a units.App, found contract.Report) {
	// 0755 and 0750 are the modes without a chmod, according to the umask of the unit.
	given := []string{"0755", "0750", units.FormatSocketMode(a.SocketAccess().Mode)}
	for _, b := range found.Binds {
		if b.Mode != "" && slices.Contains(a.SocketFiles(), b.Address) && !slices.Contains(given, b.Mode) {
			r.Note("probe: the program creates %s with mode %s, clusterctl with mode %s; to change it: --socket-mode %[2]s",
				text.Printable(b.Address), text.Printable(b.Mode), given[2])
		}
	}
}
