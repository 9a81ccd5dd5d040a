package guard

import (
	"path"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// firstOrdinaryPort is the first port that every user may bind (net.ipv4.ip_unprivileged_port_start).
const firstOrdinaryPort = 1024

// moreListeners returns the sockets of b that need a consent: Unix sockets in directories of others, ports that only root may
// bind, and ports that were open on the loopback interface only. Other port changes need no consent.
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

// portAddress returns the address without its name and without the port that the program binds.
func portAddress(l units.Listener) string {
	return units.Listener{Network: l.Network, Host: l.Host, Port: l.Port}.String()
}

// unixSockets are the sockets that PID 1 makes elsewhere than where sockets of this app belong.
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

// moreLines returns "off" if b may fill the journal of all and a may not. A journal of the app's own has its own limit.
func moreLines(a, b units.App) []string {
	if b.Logs.Namespace || !b.LogRate().Off || a.LogRate().Off && !a.Logs.Namespace {
		return nil
	}
	return []string{"off"}
}
