package compare

import (
	"context"
	"fmt"
	"strings"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
)

// follower returns the command that shows new lines: clusterctl logs if it exists, journalctl otherwise.
func follower(ctx context.Context, b *bench, app string) []string {
	help := b.Help(ctx, "logs")
	if help == "" {
		return []string{"journalctl", "-f", "-n", "0", "-o", "cat", "CLUSTERCTL_APP=" + app}
	}
	argv := []string{"clusterctl", "logs", app}
	for _, f := range []struct{ name, value string }{{"--follow", ""}, {"--raw", ""}, {"-n", "0"}} {
		if !strings.Contains(help, f.name) {
			continue
		}
		if argv = append(argv, f.name); f.value != "" {
			argv = append(argv, f.value)
		}
	}
	return argv
}

// logs measures how lines that a program writes to its standard output are stored and shown.
func logs(ctx context.Context, b *bench) error {
	n, burst := pick(b.Sizes, 50_000, 20_000), pick(b.Sizes, 20_000, 5_000)
	follow := follower(ctx, b, "chatty")
	shows := strings.Join(follow[:2], " ")
	of := func(name, what, unit string, better result.Better, ours, peer string) *result.Comparison {
		return b.add(result.Comparison{Name: name, What: what, Unit: unit, Better: better, OurSide: ours, PeerSide: peer})
	}
	speed := of("log-throughput/one-writer",
		fmt.Sprintf("one worker writes %d lines of 90 bytes as fast as it can, until the last line is in the journal or file", n),
		"lines/s", result.More, "clusterctl (the journal)", "PM2 (its file)")
	stored := of("log-throughput/lost", "lost lines of one-writer", "lines", result.Fewer, "clusterctl (the journal)", "PM2 (its file)")
	latency := of("log-follow-latency/median", "time from the request that makes a worker write a line until the line is shown",
		"ms", result.Less, shows, "pm2 logs")
	slow := of("log-follow-latency/p90", "the same, 90th percentile", "ms", result.Less, shows, "pm2 logs")
	lost := of("log-follow-latency/lost", fmt.Sprintf("lines that are not shown, of a burst of %d lines", burst),
		"lines", result.Fewer, shows, "pm2 logs")

	// With the default of --log-rate, journald would drop lines after some 200,000 lines in half a minute.
	app := rig.App{Name: "chatty", Script: "chatty.js", Workers: 1, Flags: []string{"--log-rate", "off"}}
	if err := b.Ours(ctx, app.On(portOurs)); err != nil {
		return err
	}
	if err := b.PM2(ctx, app.On(portPM2)); err != nil {
		return err
	}
	if err := b.awaitSame(ctx, "/log?id=same&n=1", portOurs, portPM2); err != nil {
		return err
	}
	kept := [][]string{{"-port", fmt.Sprint(portOurs), "-app", app.Name},
		{"-port", fmt.Sprint(portPM2), "-files", "/root/.pm2/logs/chatty-out*.log"}}
	for i := range b.Pairs {
		var rate, missing []float64
		for _, where := range kept {
			var got struct {
				Seconds float64 `json:"seconds"`
				Lines   int     `json:"lines"`
			}
			args := append([]string{"logwrite", "-id", fmt.Sprintf("bench-write-%d", i), "-n", fmt.Sprint(n)}, where...)
			if err := b.Inside(ctx, &got, args...); err != nil {
				return err
			}
			rate, missing = append(rate, float64(got.Lines)/got.Seconds), append(missing, float64(n-got.Lines))
		}
		b.pair(speed, rate[0], rate[1])
		b.pair(stored, missing[0], missing[1])
	}
	for range b.Pairs {
		var p50, p90, missing []float64
		for i, shower := range [][]string{follow, rig.PM2Do("logs", "--raw", "--lines", "0", app.Name)} {
			var got struct {
				MS           []float64
				Missed, Seen int
			}
			args := append([]string{"logfollow", "-port", fmt.Sprint([]int{portOurs, portPM2}[i]),
				"-n", fmt.Sprint(pick(b.Sizes, 10, 6)), "-burst", fmt.Sprint(burst), "--"}, shower...)
			if err := b.Inside(ctx, &got, args...); err != nil {
				return err
			}
			if len(got.MS) == 0 {
				return fmt.Errorf("%s did not show any line", strings.Join(shower, " "))
			}
			p50, p90 = append(p50, median(got.MS)), append(p90, result.Quantile(got.MS, 0.9))
			missing = append(missing, float64(got.Missed+burst-got.Seen))
		}
		b.pair(latency, p50[0], p50[1])
		b.pair(slow, p90[0], p90[1])
		b.pair(lost, missing[0], missing[1])
	}
	return nil
}

// balance measures how evenly connections are spread over the workers. A figure is the largest number of
// connections of a worker divided by the mean of all workers; 1 means that all are equal.
func balance(ctx context.Context, b *bench) error {
	for _, workers := range pick(b.Sizes, []int{4, 8}, []int{4}) {
		if err := balanceOf(ctx, b, workers); err != nil {
			return fmt.Errorf("with %d workers: %w", workers, err)
		}
	}
	return nil
}

// imbalance returns the largest number of connections of a worker, divided by the mean over all workers.
// The slice may omit workers without a connection.
func imbalance(connections []int, workers int) float64 {
	sum, most := 0, 0
	for _, n := range connections {
		sum, most = sum+n, max(most, n)
	}
	if sum == 0 {
		return 0
	}
	return float64(most) * float64(workers) / float64(sum)
}

func balanceOf(ctx context.Context, b *bench, workers int) error {
	of := func(variant, what, peer string) *result.Comparison {
		return b.add(result.Comparison{Name: fmt.Sprintf("balance/%s", variant), Unit: "max/mean", Better: result.Less,
			OurSide: sideOurs, PeerSide: peer,
			What: fmt.Sprintf("%s, %d workers: largest number of connections of a worker, divided by the mean", what, workers)})
	}
	slow, burst := "200 connections, opened 5 ms apart and kept open", "200 connections, opened at once and kept open"
	peers := []sidePort{{sidePM2, "pm2", portPM2}, {sideReusePort, "reuseport", portReusePort}}
	if workers == 4 && !b.Quick {
		peers = append(peers, sidePort{sideNginx, "nginx", portNginx})
	}
	var series [2][]*result.Comparison
	for _, p := range peers {
		series[0] = append(series[0], of(fmt.Sprintf("slow-%d-%s", workers, p.short), slow, p.name))
		series[1] = append(series[1], of(fmt.Sprintf("burst-%d-%s", workers, p.short), burst, p.name))
	}
	app := hello(workers)
	sides := append([]sidePort{{sideOurs, "", portOurs}}, peers...)
	if err := startSides(ctx, b, app, sides); err != nil {
		return err
	}
	defer dropSides(ctx, b)
	for range b.Pairs {
		for k, gap := range []string{"5ms", "0s"} {
			var ratio []float64
			for _, s := range sides {
				got, err := b.counts(ctx, series[k][0], "spread", "-port", fmt.Sprint(s.port), "-n", "200", "-gap", gap)
				if err != nil {
					return err
				}
				ratio = append(ratio, imbalance(got, workers))
			}
			for i, c := range series[k] {
				b.pair(c, ratio[0], ratio[i+1])
			}
		}
	}
	if workers == 4 && !b.Quick {
		c := of("reload-4-pm2", "64 clients that send a request every 20 ms on kept connections, after a rolling reload", sidePM2)
		return balanceReload(ctx, b, app, c)
	}
	return nil
}

func balanceReload(ctx context.Context, b *bench, app rig.App, c *result.Comparison) error {
	sides := []struct {
		port    int
		command []string
	}{{portOurs, reloadCommand(ctx, b, app.Name)}, {portPM2, rig.PM2Do("reload", app.Name)}}
	for range b.Pairs {
		var ratio []float64
		for _, s := range sides {
			args := append([]string{"spread-after", "-port", fmt.Sprint(s.port), "-clients", "64", "-around", "500ms", "--"}, s.command...)
			got, err := b.counts(ctx, c, args...)
			if err != nil {
				return err
			}
			ratio = append(ratio, imbalance(got, app.Workers))
		}
		b.pair(c, ratio[0], ratio[1])
	}
	return nil
}

// counts executes a subcommand that prints the number of connections of each worker. If requests failed, counts adds a note
// to the comparison c.
func (b *bench) counts(ctx context.Context, c *result.Comparison, args ...string) ([]int, error) {
	var got struct {
		Connections []int
		Failed      int
	}
	if err := b.Inside(ctx, &got, args...); err != nil {
		return nil, err
	}
	if got.Failed > 0 {
		note(c, "%d requests failed on port %s", got.Failed, args[2])
	}
	return got.Connections, nil
}
