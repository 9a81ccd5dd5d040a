package compare

import (
	"context"
	"fmt"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
)

// sidePort is a side of a comparison. The field short is the abbreviation of the side's name in the names of results, such
// as "2-SHORT".
type sidePort struct {
	name, short string
	port        int
}

func rates(ctx context.Context, b *bench) error {
	for _, workers := range pick(b.Sizes, []int{2, 4}, []int{2}) {
		if err := ratesOf(ctx, b, workers); err != nil {
			return fmt.Errorf("with %d workers: %w", workers, err)
		}
	}
	return nil
}

// ratesOf measures all sides with a number of workers. All sides run at the same time, and the sides that are not
// being measured are idle.
func ratesOf(ctx context.Context, b *bench, workers int) error {
	sides := []sidePort{
		{sideOurs, "", portOurs}, {sidePM2, "pm2", portPM2}, {sideCluster, "cluster", portCluster},
		{sideReusePort, "reuseport", portReusePort},
	}
	if workers == 2 && !b.Quick {
		sides = append(sides, sidePort{sideNginx, "nginx", portNginx})
	}
	kinds := []struct {
		name, what string
		keep       bool
	}{
		{"new-connections-rps", "a new connection for each request, 16 at a time", false},
		{"keepalive-rps", "requests on 16 kept connections", true},
	}
	series := make([][]*result.Comparison, len(kinds))
	for i, k := range kinds {
		for _, s := range sides[1:] {
			series[i] = append(series[i],
				b.add(result.Comparison{Name: fmt.Sprintf("%s/%d-%s", k.name, workers, s.short), Unit: "requests/s", Better: result.More,
					OurSide: sideOurs, PeerSide: s.name, What: fmt.Sprintf("%s, %d workers", k.what, workers)}))
		}
	}
	if err := startSides(ctx, b, hello(workers), sides); err != nil {
		return err
	}
	defer dropSides(ctx, b)
	p99, failed := make([][][]float64, len(kinds)), make([][]int, len(kinds))
	for i := range kinds {
		p99[i], failed[i] = make([][]float64, len(sides)), make([]int, len(sides))
	}
	for range b.Pairs {
		for i, k := range kinds {
			var rps []float64
			for j, s := range sides {
				r, err := b.Wrk(ctx, s.port, 16, b.Seconds, k.keep)
				if err != nil {
					return err
				}
				rps, p99[i][j] = append(rps, r.RPS), append(p99[i][j], r.P99)
				failed[i][j] += r.Errors
			}
			for j, c := range series[i] {
				b.pair(c, rps[0], rps[j+1])
			}
		}
	}
	for i := range kinds {
		for j, c := range series[i] {
			note(c, "99th percentile of the latency: %.1f ms and %.1f ms; errors in wrk: %d and %d", median(p99[i][0]),
				median(p99[i][j+1]), failed[i][0], failed[i][j+1])
		}
	}
	if workers != 2 || b.Quick {
		return nil
	}
	return autocannon(ctx, b)
}

// startSides starts an app on each of the sides, and checks that all return the same bytes.
func startSides(ctx context.Context, b *bench, app rig.App, sides []sidePort) error {
	var ports []int
	for _, s := range sides {
		a := app.On(s.port)
		var err error
		switch s.port {
		case portOurs:
			err = b.Ours(ctx, a)
		case portPM2:
			err = b.PM2(ctx, a)
		case portCluster:
			a.Name = fmt.Sprintf("cluster%d", app.Workers)
			err = b.Cluster(ctx, a)
		case portReusePort:
			a.Name = fmt.Sprintf("reuseport%d", app.Workers)
			err = b.ReusePort(ctx, a)
		case portNginx:
			a.Name = fmt.Sprintf("nginx%d", app.Workers)
			err = b.Nginx(ctx, a, portBehindNginx)
		default:
			err = fmt.Errorf("no side uses port %d", s.port)
		}
		if err != nil {
			return err
		}
		ports = append(ports, s.port)
	}
	return b.awaitSame(ctx, "/", ports...)
}

// dropSides stops the programs of all sides before the next number of workers. dropSides ignores errors, because the
// next start reports an error if a program still runs.
func dropSides(ctx context.Context, b *bench) {
	_, _ = b.Run(ctx, "clusterctl", "uninstall", "--yes", "hello")
	_, _ = b.Run(ctx, rig.PM2Do("delete", "all")...)
	_, _ = b.Run(ctx, "systemctl", "stop", "bench-*")
}

// autocannon compares clusterctl and PM2 with the client autocannon, because figures of autocannon are often quoted.
// This client uses more CPU time than the servers.
func autocannon(ctx context.Context, b *bench) error {
	c := b.add(result.Comparison{Name: "keepalive-rps/2-pm2-autocannon", Unit: "requests/s", Better: result.More,
		OurSide: sideOurs, PeerSide: sidePM2,
		What: "requests on 16 kept connections, 2 workers, as in keepalive-rps/2-pm2, with autocannon as the client"})
	for range b.Pairs {
		var rps []float64
		for _, port := range []int{portOurs, portPM2} {
			r, err := b.Autocannon(ctx, port, 16, 1)
			if err != nil {
				return err
			}
			rps = append(rps, r.RPS)
			if r.Errors > 0 {
				note(c, "autocannon reported %d errors on port %d", r.Errors, port)
			}
		}
		b.pair(c, rps[0], rps[1])
	}
	return nil
}

// syscallOverhead compares two kinds of our workers: an unmodified worker that calls bind(2) and runs with the shim's system
// call filter, and a worker that uses the inherited listener itself.
func syscallOverhead(ctx context.Context, b *bench) error {
	const adopted, native = "adopted worker", "native worker"
	of := func(variant, what, unit string, better result.Better) *result.Comparison {
		return b.add(result.Comparison{Name: "syscall-overhead/" + variant, What: what, Unit: unit, Better: better,
			OurSide: adopted, PeerSide: native})
	}
	series := []*result.Comparison{
		of("new-connections", "a new connection for each request, 16 at a time, 2 workers", "requests/s", result.More),
		of("keepalive", "requests on 16 kept connections, 2 workers", "requests/s", result.More),
	}
	cost := []*result.Comparison{
		of("new-connections-cpu", "CPU time of workers and notifiers per request", "µs", result.Less),
		of("keepalive-cpu", "CPU time of workers and notifiers per request", "µs", result.Less),
	}
	a := hello(2).On(portOurs)
	if err := b.Ours(ctx, a); err != nil {
		return err
	}
	n := hello(2).On(portNative)
	n.Name, n.Env, n.Flags = "native", []string{"NATIVE=1"}, []string{"--activation", "native", "--ready", "exec"}
	if err := b.Ours(ctx, n); err != nil {
		return err
	}
	if err := b.awaitSame(ctx, "/", portOurs, portNative); err != nil {
		return err
	}
	for range b.Pairs {
		for i, keep := range []bool{false, true} {
			var rps, cpu []float64
			for _, side := range []rig.App{a, n} {
				used, r, err := b.costOf(ctx, side.Port, 16, b.Seconds, keep, rig.OurCgroup(side.Name))
				if err != nil {
					return err
				}
				rps, cpu = append(rps, r.RPS), append(cpu, used.CPU/r.Requests)
			}
			b.pair(series[i], rps[0], rps[1])
			b.pair(cost[i], cpu[0], cpu[1])
		}
	}
	return nil
}

// costOf sends load to a port and returns the CPU time and context switches of processes during the load.
func (b *bench) costOf(ctx context.Context, port, conns, seconds int, keep bool, selector string) (rig.Usage, rig.Rate, error) {
	before, err := b.Usage(ctx, false, selector)
	if err != nil {
		return rig.Usage{}, rig.Rate{}, err
	}
	r, err := b.Wrk(ctx, port, conns, seconds, keep)
	if err != nil {
		return rig.Usage{}, rig.Rate{}, err
	}
	after, err := b.Usage(ctx, false, selector)
	if err != nil {
		return rig.Usage{}, rig.Rate{}, err
	}
	u := rig.Usage{Processes: after[0].Processes, CPU: after[0].CPU - before[0].CPU, Switches: after[0].Switches - before[0].Switches}
	if r.Requests <= 0 || u.CPU <= 0 {
		return u, r, fmt.Errorf("port %d: %v requests/s, %v µs of CPU", port, r.RPS, u.CPU)
	}
	return u, r, nil
}

// herd measures the cost of idle workers that wait on one listener, because each new connection may wake several workers.
func herd(ctx context.Context, b *bench) error {
	for _, workers := range []int{2, 8, 32, 64} {
		of := func(variant, what, unit string) result.Comparison {
			return result.Comparison{Name: fmt.Sprintf("herd/%d-%s", workers, variant), Unit: unit, Better: result.Less,
				OurSide: sideOurs, PeerSide: sidePM2,
				What: fmt.Sprintf("%s, one connection at a time, %d workers, most of them idle", what, workers)}
		}
		cpu, switches := of("cpu", "CPU time of all processes of the side per new connection", "µs"), of("switches",
			"context switches per new connection", "")
		if b.Quick && workers > 8 {
			b.skip(cpu)
			b.skip(switches)
			continue
		}
		if err := herdOf(ctx, b, workers, b.add(cpu), b.add(switches)); err != nil {
			return fmt.Errorf("with %d workers: %w", workers, err)
		}
	}
	return nil
}

func herdOf(ctx context.Context, b *bench, workers int, cpu, switches *result.Comparison) error {
	app := hello(workers)
	if err := b.Ours(ctx, app.On(portOurs)); err != nil {
		return err
	}
	if err := b.PM2(ctx, app.On(portPM2)); err != nil {
		return err
	}
	if err := b.awaitSame(ctx, "/", portOurs, portPM2); err != nil {
		return err
	}
	var rps [2][]float64
	for range b.Pairs {
		var c, s []float64
		for i, side := range []struct {
			port     int
			selector string
		}{{portOurs, rig.OurCgroup(app.Name)}, {portPM2, "tree:" + rig.PM2PID}} {
			u, r, err := b.costOf(ctx, side.port, 1, 1, false, side.selector)
			if err != nil {
				return err
			}
			c, s, rps[i] = append(c, u.CPU/r.Requests), append(s, float64(u.Switches)/r.Requests), append(rps[i], r.RPS)
		}
		b.pair(cpu, c[0], c[1])
		b.pair(switches, s[0], s[1])
	}
	note(cpu, "median rates of sequential requests: %.0f/s and %.0f/s", median(rps[0]), median(rps[1]))
	if _, err := b.Run(ctx, "clusterctl", "uninstall", "--yes", app.Name); err != nil {
		return err
	}
	_, err := b.Run(ctx, rig.PM2Do("delete", "all")...)
	return err
}
