package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// cutReport are the connections of an instance that were in use when its drain gave up. The stop signal followed, and most
// programs close them then.
type cutReport struct {
	Connections int `json:"connections"`
	// DrainMs is how long the drain took.
	DrainMs int64     `json:"drainMs"`
	Peers   []cutPeer `json:"peers"`
}

// cutPeer is one of them; a Unix socket has no address. RequestMs is how long before the stop signal the peer had sent something.
type cutPeer struct {
	Address   string `json:"address,omitempty"`
	RequestMs int64  `json:"requestMs"`
}

// noteCuts adds to the results of a command which connections it may have cut, and says so.
func (e *env) noteCuts(n units.Name, since time.Time, list []instanceRoll) {
	for i, one := range list {
		r, found := e.host.LeftOf(string(n), one.Instance, since)
		if !found || one.Outcome == "untouched" || one.Outcome == "skipped" {
			continue
		}
		cut := &cutReport{Connections: r.Count, DrainMs: r.Waited.Milliseconds(), Peers: []cutPeer{}}
		for _, c := range r.Connections {
			cut.Peers = append(cut.Peers, cutPeer{Address: c.Peer, RequestMs: c.Request.Milliseconds()})
		}
		list[i].Cut = cut
		e.note("%s: %s", strings.TrimSuffix(one.Unit, ".service"), cut)
	}
}

func (c *cutReport) String() string {
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
