package guard

import (
	"path"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// firstOrdinaryPort is the first port that every user may bind (net.ipv4.ip_unprivileged_port_start).
const firstOrdinaryPort = 1024

// moreListeners returns the listeners of b that need consent: Unix sockets in directories of other users, ports that only
// root may bind, and ports that listened only on the loopback interface before. Other changes of ports need no consent.
func moreListeners(a, b units.App) []string {
	list := moreWords(unixSockets(a), unixSockets(b))
	for _, l := range b.Listen {
		if l.Network == units.Unix {
			continue
		}
		had, loopback := false, ""
		for _, m := range a.Listen {
			if m.Network != l.Network || m.Port != l.Port {
				continue
			}
			had = true
			if !m.Host.IsLoopback() {
				loopback = ""
				break
			}
			loopback = portAddress(m)
		}
		switch {
		case !had && l.Port < firstOrdinaryPort:
			list = append(list, portAddress(l))
		case loopback != "" && !l.Host.IsLoopback():
			list = append(list, loopback+" -> "+portAddress(l))
		}
	}
	return list
}

// portAddress returns the address of a listener without its name and without the port that the program binds.
func portAddress(l units.Listener) string {
	return units.Listener{Network: l.Network, Host: l.Host, Port: l.Port}.String()
}

// unixSockets returns the Unix sockets that PID 1 creates outside of the app's directory and of /run.
func unixSockets(a units.App) []string {
	var list []string
	for _, l := range a.Listen {
		dir := path.Dir(l.Path)
		ours := dir == path.Clean(a.Directory) || dir == "/run" || strings.HasPrefix(dir, "/run/")
		if l.Network == units.Unix && path.IsAbs(l.Path) && !ours {
			list = append(list, l.Path)
		}
	}
	return list
}

// moreLines returns "off" if b may fill the journal of the machine without a rate limit and a may not. A private journal of
// the app has its own size limit.
func moreLines(a, b units.App) []string {
	if b.Logs.Namespace || !b.LogRate().Off || a.LogRate().Off && !a.Logs.Namespace {
		return nil
	}
	return []string{"off"}
}
