package compare

import (
	"context"
	"fmt"
	"time"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// lightWhileBlocked measures light requests while other requests block the workers. The workers run the unmodified
// child.js of packaging/examples/cluster-2021, which blocks its event loop during each request of "/", responds to other
// requests at once, and exits at random times.
func lightWhileBlocked(ctx context.Context, b *bench) error {
	of := func(short, name string) *result.Comparison {
		return b.add(result.Comparison{Name: "light-p99-while-blocked/" + short, Unit: "ms", Better: result.Less,
			OurSide: sideOurs, PeerSide: name,
			What: "99th percentile of the latency of light requests (50 per second, each on a new connection), " +
				"while a client blocks one worker after the other; 2 workers"})
	}
	pm2, cluster := of("pm2", sidePM2), of("cluster", sideCluster)
	child := rig.App{Name: "child", Script: "child.js", Workers: 2, Port: portOurs,
		Flags: []string{"--listen", fmt.Sprintf("%d:8080", portOurs)}}
	// An install correctly fails if the program exits during the install, so try again.
	err := b.Ours(ctx, child)
	for try := 0; err != nil && try < 4; try++ {
		err = b.Ours(ctx, child)
	}
	if err != nil {
		return err
	}
	if err := b.PM2(ctx, child.On(8080)); err != nil {
		return err
	}
	// The port is a constant in the example's source, so the third side, which has another port, needs a changed copy.
	edit := fmt.Sprintf("sed 's/8080/%d/' %s/child.js > %[2]s/child-cluster.js", portCluster, rig.Dir)
	if _, err := b.Run(ctx, "sh", "-c", edit); err != nil {
		return err
	}
	third := child.On(portCluster)
	third.Script = "child-cluster.js"
	if err := b.Cluster(ctx, third); err != nil {
		return err
	}
	if err := b.awaitSame(ctx, "/light", portOurs, 8080, portCluster); err != nil {
		return err
	}
	ports := []int{portOurs, 8080, portCluster}
	failed, p50 := make([]int, len(ports)), make([][]float64, len(ports))
	length := pick(b.Sizes, 4*time.Second, 2*time.Second)
	for range b.Pairs {
		var p99 []float64
		for i, port := range ports {
			var got struct {
				MS            []float64 `json:"ms"`
				Failed, Heavy int
			}
			err := b.Inside(ctx, &got, "light", "-port", fmt.Sprint(port), "-for", length.String(), "-rate", "50")
			if err == nil && (len(got.MS) == 0 || got.Heavy == 0) {
				err = fmt.Errorf("port %d: %d light and %d blocking requests got a response, want at least one of each",
					port, len(got.MS), got.Heavy)
			}
			if err != nil {
				return err
			}
			failed[i] += got.Failed
			p50[i] = append(p50[i], result.Quantile(got.MS, 0.5))
			p99 = append(p99, result.Quantile(got.MS, 0.99))
		}
		b.pair(pm2, p99[0], p99[1])
		b.pair(cluster, p99[0], p99[2])
	}
	for i, c := range []*result.Comparison{pm2, cluster} {
		note(c, "the median latency of the light requests: %.1f ms and %.1f ms; "+
			"requests without a response, because the child exits at random: %d and %d",
			median(p50[0]), median(p50[i+1]), failed[0], failed[i+1])
	}
	return nil
}

// reloadCommand returns the command that reloads an app: clusterctl reload if it exists, systemctl reload otherwise.
func reloadCommand(ctx context.Context, b *bench, app string) []string {
	if b.Help(ctx, "reload") != "" {
		return []string{"clusterctl", "reload", app}
	}
	return []string{"systemctl", "reload", app}
}

// reloadFailed counts requests without a complete response while an unmodified program is reloaded.
func reloadFailed(ctx context.Context, b *bench) error {
	reloads := pick(b.Sizes, 10, 1)
	of := func(variant, how string) *result.Comparison {
		return b.add(result.Comparison{Name: "reload-failed-requests/" + variant, Unit: "requests", Better: result.Fewer,
			OurSide: sideOurs, PeerSide: sidePM2,
			What: fmt.Sprintf("requests that failed or hung for 5 s in %d rolling reloads of 2 workers, %s, "+
				"500 per second, without retries", reloads, how)})
	}
	series := []*result.Comparison{of("new-connections", "a new connection for each request"), of("keep-alive", "on 4 kept connections")}
	app := hello(2)
	if err := b.Ours(ctx, app.On(portOurs)); err != nil {
		return err
	}
	if err := b.PM2(ctx, app.On(portPM2)); err != nil {
		return err
	}
	if err := b.awaitSame(ctx, "/", portOurs, portPM2); err != nil {
		return err
	}
	sides := []struct {
		port    int
		command []string
	}{{portOurs, reloadCommand(ctx, b, app.Name)}, {portPM2, rig.PM2Do("reload", app.Name)}}
	var took [2][]float64
	var sums [2][2]load.Report
	for range b.Pairs {
		var failed [2][2]float64
		for i, s := range sides {
			reports, ms, err := reloadUnderLoad(ctx, b, s.port, reloads, s.command)
			if err != nil {
				return err
			}
			took[i] = append(took[i], ms...)
			for k, r := range reports {
				failed[k][i] = float64(r.Failed())
				sums[k][i] = sum(sums[k][i], r)
			}
		}
		for k, c := range series {
			b.pair(c, failed[k][0], failed[k][1])
		}
	}
	for k, c := range series {
		for i, name := range []string{sideOurs, sidePM2} {
			r := sums[k][i]
			note(c, "%s, over %d reloads: %d of %d requests failed (%d refused, %d reset, %d closed without a response, "+
				"%d hung, %d other); the median time of a reload was %.0f ms",
				name, b.Pairs*reloads, r.Failed(), r.Requests, r.Refused, r.Reset, r.EOF, r.Timeouts, r.BadStatus+r.Other, median(took[i]))
		}
	}
	return nil
}

// reloadUnderLoad reloads an app several times, while one client sends requests on new connections and another on kept
// connections. reloadUnderLoad returns the reports of both clients, and the time of each reload.
func reloadUnderLoad(ctx context.Context, b *bench, port, reloads int, command []string) (reports [2]load.Report, ms []float64, err error) {
	var runs [2]*load.Run
	defer func() {
		for k, r := range runs {
			if r != nil {
				reports[k] = r.Stop()
			}
		}
	}()
	for k, keep := range []bool{false, true} {
		o := load.Options{URL: fmt.Sprintf("http://127.0.0.1:%d/", port), Conns: 4, Rate: 500, KeepAlive: keep, Timeout: 5 * time.Second}
		if runs[k], err = load.Begin(b.Machine(), o); err != nil {
			return reports, nil, err
		}
	}
	if err := b.Pause(ctx, 200*time.Millisecond); err != nil {
		return reports, nil, err
	}
	ms, err = b.Time(ctx, reloads, command...)
	if err == nil {
		err = b.Pause(ctx, 200*time.Millisecond)
	}
	return reports, ms, err
}

// The function sum adds the counts of two reports, but only the counts that are printed in the notes.
func sum(a, b load.Report) load.Report {
	a.Requests += b.Requests
	a.OK += b.OK
	a.Refused += b.Refused
	a.Reset += b.Reset
	a.EOF += b.EOF
	a.Timeouts += b.Timeouts
	a.BadStatus += b.BadStatus
	a.Other += b.Other
	return a
}
