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

// sockets returns the Unix sockets that instances can share. They are used if the program does not bind a port: a program
// with a port uses them between its processes.
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

// ownSockets describes the Unix sockets that each instance opens separately.
func ownSockets(found contract.Report) []string {
	var list []string
	for _, b := range found.Binds {
		if b.Family == "unix" && b.Listening && (b.Private || !filepath.IsAbs(b.Address)) {
			list = append(list, "socket "+text.Printable(b.Address)+", which each instance opens separately")
		}
	}
	return list
}

// checkPath returns an error if the program binds only other Unix sockets than the one of --listen.
func checkPath(l units.Listener, found []units.Listener) error {
	for _, f := range found {
		if f.Network != units.Unix || samePlace(f.Path, l.Path) {
			return nil
		}
	}
	return fault.WithHint(fmt.Errorf("the program does not bind %s; it binds %s", l.Description(), describeAll(found)),
		"use --listen %s, or configure the path in the program", found[0])
}

// samePlace reports whether two paths are equal after links in their directories are followed.
func samePlace(a, b string) bool {
	resolved := func(path string) string {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			return filepath.Join(dir, filepath.Base(path))
		}
		return filepath.Clean(path)
	}
	return a == b || resolved(a) == resolved(b)
}

// withBind returns the listener with the port that the program binds.
func withBind(l, found units.Listener) units.Listener {
	l.Bind = found.Port
	if l.Bind == l.Port {
		l.Bind = 0
	}
	return l
}

func describeAll(list []units.Listener) string {
	var words []string
	for _, l := range list {
		words = append(words, l.Description())
	}
	return strings.Join(words, " and ")
}

// onAllAddresses reports whether the listener is on all addresses, at least of one family.
func onAllAddresses(l units.Listener) bool { return !l.Host.IsValid() || l.Host.IsUnspecified() }

// byAddress returns listeners on the addresses that the program binds, instead of a port without an address.
func (r *Resolver) byAddress(l units.Listener, binds []units.Listener) []units.Listener {
	var list []units.Listener
	for _, b := range binds {
		narrow := l
		narrow.Host = b.Host
		list = append(list, narrow)
	}
	wide := l
	wide.Host = netip.IPv4Unspecified()
	if !binds[0].Host.Is4() {
		wide.Host = netip.IPv6Unspecified()
	}
	r.Note("probe: the program binds only %s, so other addresses stay closed; to open it to other machines: --listen %s",
		describeAll(binds), wide)
	return list
}
