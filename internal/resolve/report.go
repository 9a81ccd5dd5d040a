package resolve

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/foreground"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// listensOnPathOf reports whether the program listens on a Unix socket of the app.
func listensOnPathOf(found contract.Report, a units.App) bool {
	for _, b := range found.Binds {
		ours := func(l units.Listener) bool { return l.Bind == 0 && l.Path == b.Address }
		if b.Listening && b.Family == "unix" && slices.ContainsFunc(a.Listen, ours) {
			return true
		}
	}
	return false
}

// sockets returns the Unix sockets in a report that instances can share. The caller uses these sockets only if the program
// binds no port, because a program with a port uses its Unix sockets between its own processes.
func sockets(found contract.Report) []units.Listener {
	var list []units.Listener
	for _, b := range found.Binds {
		l := units.Listener{Network: units.Unix, Path: b.Address}
		if b.Family == "unix" && b.Listening && !b.Private && filepath.IsAbs(b.Address) && !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	return list
}

// ownSockets returns a text for each Unix socket in a report that instances cannot share.
func ownSockets(found contract.Report) []string {
	var list []string
	for _, b := range found.Binds {
		if b.Family == "unix" && b.Listening && (b.Private || !filepath.IsAbs(b.Address)) {
			list = append(list, "socket "+text.Printable(b.Address)+", which each instance opens separately")
		}
	}
	return list
}

// checkPath returns an error if listener l is the Unix socket of --listen, and the program binds other Unix sockets but not
// this one.
func checkPath(l units.Listener, found []units.Listener) error {
	for _, f := range found {
		if f.Network != units.Unix || samePlace(f.Path, l.Path) {
			return nil
		}
	}
	return fault.WithHint(fmt.Errorf("the program does not bind %s; it binds %s", l.Description(), describeAll(found)),
		"use --listen %s, or configure the path in the program", found[0])
}

// samePlace reports whether two paths are equal when symbolic links in their directories are followed.
func samePlace(a, b string) bool {
	resolved := func(path string) string {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			return filepath.Join(dir, filepath.Base(path))
		}
		return filepath.Clean(path)
	}
	return a == b || resolved(a) == resolved(b)
}

func describeAll(list []units.Listener) string {
	var words []string
	for _, l := range list {
		words = append(words, l.Description())
	}
	return strings.Join(words, " and ")
}

// onAllAddresses reports whether the listener accepts connections on all addresses of IPv4 or IPv6.
func onAllAddresses(l units.Listener) bool { return !l.Host.IsValid() || l.Host.IsUnspecified() }

// byAddress returns a copy of listener l, which has no address, for each address in binds. byAddress prints a note that
// shows how to accept connections on all addresses.
func (r *Resolver) byAddress(l units.Listener, binds []units.Listener) []units.Listener {
	var list []units.Listener
	for _, b := range binds {
		onAddress := l
		onAddress.Host = b.Host
		list = append(list, onAddress)
	}
	onAll := l
	onAll.Host = netip.IPv4Unspecified()
	if !binds[0].Host.Is4() {
		onAll.Host = netip.IPv6Unspecified()
	}
	r.Note("probe: the program binds only %s, so other addresses stay closed; to open it to other machines: --listen %s",
		describeAll(binds), onAll)
	return list
}

// checkMulticast prints a note for each UDP socket that joins a multicast group, because each instance must open this socket
// itself. checkMulticast returns an error if --listen has the port of this socket. A socket in a multicast group cannot be
// shared, because PID 1 would keep the socket open. The socket would then stay in the group, and the next worker could not
// join again.
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

// setOptions sets the socket options of an app to the options that the program has set on its sockets. setOptions omits
// trusted options, which need a capability. The user of the program can write the report, and PID 1 would set any trusted
// option in the report.
func (r *Resolver) setOptions(a *units.App, found contract.Report) {
	a.SocketOptions = nil
	for _, l := range a.Listen {
		name := l.FDName()
		if len(a.Sockets()) == 1 {
			name = ""
		}
		for _, b := range found.Binds {
			if !canReplace(b, l) {
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

// canReplace reports whether listener l replaces the socket b of the program.
func canReplace(b contract.ProbeBind, l units.Listener) bool {
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
	// A program that does not call chmod creates a socket with mode 0755 or 0750, according to the umask of the unit.
	given := []string{"0755", "0750", units.FormatSocketMode(a.SocketAccess().Mode)}
	for _, b := range found.Binds {
		if b.Mode != "" && slices.Contains(a.SocketFiles(), b.Address) && !slices.Contains(given, b.Mode) {
			r.Note("probe: the program creates %s with mode %s, clusterctl with mode %s; to change it: --socket-mode %[2]s",
				text.Printable(b.Address), text.Printable(b.Mode), given[2])
		}
	}
}

func runTime(found contract.Report) string {
	return text.Duration(time.Duration(found.TookMS) * time.Millisecond)
}

// Failed reports whether the program ended in the probe with an exit status other than 0 or by a signal.
func Failed(found contract.Report) bool {
	return found.Exited && found.Status != (contract.Exit{Code: "exited", Status: "0"})
}

// ProgramError returns an error if the program failed before it bound an address, or if the program exited, but its child
// processes continue in the background. systemd would kill these child processes. Otherwise, ProgramError returns nil.
func ProgramError(found contract.Report, a units.App, unit string) error {
	switch {
	case found.Exited && !Failed(found) && len(found.Left) > 0:
		reason := "it went into the background: it exited 0, and left " + leftWords(found.Left) + " running"
		return fault.WithHint(&control.InstanceError{Unit: unit, Reason: reason}, "%s", foreground.Hint(a.Command, found.Left))
	case Failed(found) && len(found.Binds) == 0:
		reason := fmt.Sprintf("the program ended in the probe, before it listened: %s %s", found.Status.Code, found.Status.Status)
		return &control.InstanceError{Unit: unit, Reason: reason}
	}
	return nil
}

// leftWords returns a text with the names of processes. leftWords omits repeated names, and has at most 3 entries.
func leftWords(names []string) string {
	var words []string
	for _, n := range names {
		if len(words) == 0 || words[len(words)-1] != n {
			words = append(words, n)
		}
	}
	if len(words) > 3 {
		words = append(words[:2], fmt.Sprintf("%d more", len(words)-2))
	}
	return strings.Join(words, ", ")
}

// noListenerReason returns a text that explains why the probe ended without a listener.
func noListenerReason(found contract.Report) string {
	switch {
	case found.Exited:
		return fmt.Sprintf("the program ended after %s without listening (%s %s)", runTime(found), found.Status.Code, found.Status.Status)
	case found.Idle:
		return fmt.Sprintf("the program did not listen within %s, and is idle", runTime(found))
	}
	return "the program did not listen within " + runTime(found)
}

// noteBackground prints that the app becomes a background app, because the probe found no listener to share. It also prints
// how the probe ended.
func (r *Resolver) noteBackground(found contract.Report) {
	r.Note("probe: the program listens on %s, so it becomes a background app", cmp.Or(strings.Join(ownSockets(found), " and "), "nothing"))
	switch {
	case found.Exited:
		r.Note("probe: %s", noListenerReason(found))
	case found.Idle:
		r.Note("probe: %s; if it listens later: --listen PORT, or --probe-timeout 2m to wait for it", noListenerReason(found))
	case found.TimedOut:
		longer := 5 * time.Duration(found.TookMS) * time.Millisecond
		r.Note("probe: %s, and was still busy; if it is slow to listen: --listen PORT, or --probe-timeout %s",
			noListenerReason(found), longer.Round(time.Second))
	}
}
