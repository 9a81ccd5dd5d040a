package inspect

import (
	"net/netip"

	"github.com/clusterctl/clusterctl/activation/shim/relisten"
)

// ListenAgain makes PID 1's TCP sockets listen again after they were shut down. It returns how many of them listen again.
// It needs root.
func ListenAgain(listeners []Address) (int, error) {
	var ports []netip.AddrPort
	for _, l := range listeners {
		if l.Path == "" {
			ports = append(ports, netip.AddrPortFrom(l.Host, l.Port))
		}
	}
	if len(ports) == 0 {
		return 0, nil
	}
	return relisten.Again(1, ports)
}
