package status

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// Cut describes the connections of an instance that were in use at the end of its drain. The stop signal follows the drain,
// and most programs then close their connections.
type Cut struct {
	Connections int `json:"connections"`
	// DrainMs is how long the drain took.
	DrainMs int64     `json:"drainMs"`
	Peers   []CutPeer `json:"peers"`
}

// CutPeer is the peer of a connection that was in use. The Address of a Unix socket is empty. RequestMs is the time from the
// last data of the peer to the stop signal.
type CutPeer struct {
	Address   string `json:"address,omitempty"`
	RequestMs int64  `json:"requestMs"`
}

// CutOf returns the connections of an instance that were in use at its last stop. It returns nil if there were none, or if
// the last stop was before since.
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
