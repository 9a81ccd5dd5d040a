package resolve

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
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

// sockets returns the Unix sockets in a report that instances can share. The caller uses them only if the program binds no
// port, because a program with a port uses its Unix sockets between its own processes.
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

// checkPath returns an error if l is the Unix socket of --listen, and the program binds other Unix sockets but not this one.
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

// withBind returns listener l for a program that binds the port of found.
func withBind(l, found units.Listener) units.Listener {
	l.Bind = found.Port
	if l.Bind == l.Port {
		l.Bind = 0
	}
	return l
}

// describeAll returns a text with all listeners.
func describeAll(list []units.Listener) string {
	var words []string
	for _, l := range list {
		words = append(words, l.Description())
	}
	return strings.Join(words, " and ")
}

// onAllAddresses reports whether the listener accepts connections on all addresses of IPv4 or IPv6.
func onAllAddresses(l units.Listener) bool { return !l.Host.IsValid() || l.Host.IsUnspecified() }

// byAddress returns a copy of listener l, which has no address, for each address in binds. It prints a note how to accept
// connections on all addresses.
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
