package main

import (
	"net/netip"
	"slices"

	"github.com/clusterctl/clusterctl/units"
)

// listensOnPathOf reports whether the program listens on a Unix socket of the app.
func (r probeReport) listensOnPathOf(a units.App) bool {
	for _, b := range r.Binds {
		if b.Listening && b.Family == "unix" && slices.ContainsFunc(a.Listen, func(l units.Listener) bool { return l.Bind == 0 && l.Path == b.Address }) {
			return true
		}
	}
	return false
}

// everywhere says whether the program asked for all addresses, of one family at least.
func everywhere(l units.Listener) bool { return !l.Host.IsValid() || l.Host.IsUnspecified() }

// byAddress narrows a bare port to the addresses that the program binds.
func (e *env) byAddress(l units.Listener, binds []units.Listener) []units.Listener {
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
	e.note("probe: the program binds only %s, so nothing else is opened; to open it to other machines: --listen %s", describeAll(binds), wide)
	return list
}
