package compare

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
)

// crashToReady kills the only worker and waits for the first response of the next worker.
func crashToReady(ctx context.Context, b *bench) error {
	const what = "time from SIGKILL of the only worker to the first response of the next worker"
	const least = what + "; the peer is the time from the start of the program without a supervisor to its first response"
	of := func(variant, name, what string) *result.Comparison {
		return b.add(result.Comparison{Name: "crash-to-ready/" + variant, Unit: "ms", Better: result.Less,
			OurSide: sideOurs, PeerSide: name, What: what})
	}
	pm2, bare := of("pm2", sidePM2, what), of("bare", sideBare, least)
	newer, open := of("bare-257", sideBare, least+"; on Debian 13"), of("bare-257-sandbox-off", sideBare,
		least+"; on Debian 13, without the sandbox")
	if err := crashWithPM2(ctx, b, pm2, bare); err != nil {
		return err
	}
	n, err := b.Newer(ctx)
	if err != nil {
		return err
	}
	err = crashAlone(ctx, b, n, newer, crashApp())
	if err == nil {
		_, err = n.Run(ctx, "clusterctl", "uninstall", "--yes", crashApp().Name)
	}
	if err == nil {
		a := crashApp()
		a.Flags = append(a.Flags, "--sandbox", "off")
		err = crashAlone(ctx, b, n, open, a)
	}
	return errors.Join(err, n.Close())
}

// crashApp returns the app whose worker is killed. PM2 delays the restart after a run of less than a second, and so does
// clusterctl with --min-uptime 1s. The pause before each kill is longer than a second, so that the restart is not delayed.
func crashApp() rig.App {
	a := hello(1).On(portOurs)
	a.Flags = []string{"--min-uptime", "1s"}
	return a
}

// crashWithPM2 measures clusterctl and PM2 on the same machine, with Debian 12.
func crashWithPM2(ctx context.Context, b *bench, pm2, bare *result.Comparison) error {
	if err := b.Ours(ctx, crashApp()); err != nil {
		return err
	}
	if err := b.PM2(ctx, hello(1).On(portPM2)); err != nil {
		return err
	}
	if err := b.awaitSame(ctx, "/", portOurs, portPM2); err != nil {
		return err
	}
	var extra []float64
	for range b.Pairs {
		ms, err := crashes(ctx, b, b.Rig, portOurs, portPM2)
		if err != nil {
			return err
		}
		b.pair(pm2, ms[0], ms[1])
		b.pair(bare, ms[0], ms[2])
		extra = append(extra, ms[0]-ms[2])
	}
	noteExtra(bare, extra)
	return nil
}

// crashAlone measures clusterctl on a machine without PM2.
func crashAlone(ctx context.Context, b *bench, on *rig.Rig, c *result.Comparison, a rig.App) error {
	if err := on.Ours(ctx, a); err != nil {
		return err
	}
	if err := on.Rest(ctx); err != nil {
		return err
	}
	var extra []float64
	for range b.Pairs {
		ms, err := crashes(ctx, b, on, portOurs)
		if err != nil {
			return err
		}
		b.pair(c, ms[0], ms[1])
		extra = append(extra, ms[0]-ms[1])
	}
	noteExtra(c, extra)
	return nil
}

func noteExtra(c *result.Comparison, extra []float64) {
	note(c, "%.1f ms longer than the start without a supervisor (median of the pairs); the goal is 15 ms", median(extra))
}

// crashes returns times in milliseconds. For each port, it returns the time from a crash to the next response. The last
// result is the time from a start without a supervisor to the first response.
func crashes(ctx context.Context, b *bench, on *rig.Rig, ports ...int) ([]float64, error) {
	kills := pick(b.Sizes, "3", "1")
	var commands [][]string
	for _, p := range ports {
		commands = append(commands, []string{"crash", "-port", fmt.Sprint(p), "-n", kills, "-pause", "1200ms"})
	}
	start := append([]string{"bare", "-port", fmt.Sprint(portReusePort), "-n", kills, "-pause", "200ms", "--", "env"}, rig.PM2Env()...)
	commands = append(commands, append(start, fmt.Sprintf("PORT=%d", portReusePort), "/usr/bin/node", rig.Dir+"/hello.js"))
	var ms []float64
	for _, c := range commands {
		var t struct{ MS []float64 }
		if err := on.Inside(ctx, &t, c...); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(c[:3], " "), err)
		}
		ms = append(ms, median(t.MS))
	}
	return ms, nil
}
