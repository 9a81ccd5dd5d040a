package compare

import (
	"context"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
)

// keptConns is the number of kept connections. The number is small, so that responses that wait for a TCP acknowledgement
// clearly lower the rate.
const keptConns = 4

// keptConnections sends requests on kept connections to programs that use the shared listener, and to the same programs with
// their own listener. The comparison shows whether an option that a program sets before bind(2) was lost. For example,
// gunicorn without its TCP_NODELAY reached 47 requests per second instead of 4,448. A smoke run measures only gunicorn.
func keptConnections(ctx context.Context, b *bench) error {
	var series []*result.Comparison
	servers := rig.Servers()
	for i, s := range servers {
		add := b.add
		if b.Quick && i > 0 {
			add = func(c result.Comparison) *result.Comparison { b.skip(c); return nil }
		}
		series = append(series, add(result.Comparison{Name: "kept-connections/" + s.Name, Unit: "requests/s",
			Better: result.More, OurSide: sideOurs, PeerSide: sideBare,
			What: "requests on 4 kept connections, 1 worker; the goal is a ratio of 0.97"}))
	}
	for i, s := range servers {
		if series[i] == nil {
			continue
		}
		if err := keptConnectionsOf(ctx, b, s, series[i]); err != nil {
			return err
		}
	}
	return nil
}

func keptConnectionsOf(ctx context.Context, b *bench, s rig.Server, c *result.Comparison) error {
	if err := b.OursServer(ctx, s, portOurs); err != nil {
		return err
	}
	if err := b.BareServer(ctx, s, portNative); err != nil {
		return err
	}
	if err := b.awaitSame(ctx, "/", portOurs, portNative); err != nil {
		return err
	}
	// Measure many runs of one second, because the difference between the goal (0.97) and 1 is smaller than the noise of a
	// single run.
	for i := range b.Pairs * pick(b.Sizes, 4, 1) {
		ports := []int{portOurs, portNative}
		if i%2 == 1 { // each side is measured first in half of the pairs
			ports = []int{portNative, portOurs}
		}
		rps := map[int]float64{}
		for _, port := range ports {
			r, err := b.Wrk(ctx, port, keptConns, 1, true)
			if err != nil {
				return err
			}
			rps[port] = r.RPS
		}
		b.pair(c, rps[portOurs], rps[portNative])
	}
	if err := b.Drop(ctx, s.App()); err != nil {
		return err
	}
	_, err := b.Run(ctx, "clusterctl", "uninstall", "--yes", s.App())
	return err
}
