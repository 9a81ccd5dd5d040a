package compare

import (
	"context"
	"fmt"
	"slices"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
)

// cliStartup measures the start of commands that do almost nothing.
func cliStartup(ctx context.Context, b *bench) error {
	// The first command starts PM2's daemon, which must not be measured.
	if _, err := b.Run(ctx, rig.PM2Do("ping")...); err != nil {
		return err
	}
	for _, c := range []struct {
		name       string
		ours, peer []string
	}{
		{"version", []string{"clusterctl", "version"}, rig.PM2Do("--version")},
		{"help", []string{"clusterctl", "--help"}, rig.PM2Do("--help")},
		{"ls", []string{"clusterctl", "ls"}, rig.PM2Do("ls")},
	} {
		series := b.add(result.Comparison{Name: "cli-startup/" + c.name, Unit: "ms", Better: result.Less,
			OurSide: c.ours[0] + " " + c.ours[1], PeerSide: "pm2 " + c.peer[len(c.peer)-1],
			What: "a command that does almost nothing"})
		if err := b.commands(ctx, series, 3, c.ours, c.peer); err != nil {
			return err
		}
	}
	return nil
}

// commands measures two commands in turn. A figure is the median of n runs.
func (b *bench) commands(ctx context.Context, c *result.Comparison, n int, ours, peer []string) error {
	for range b.Pairs {
		var ms []float64
		for _, argv := range [][]string{ours, peer} {
			t, err := b.Time(ctx, n, argv...)
			if err != nil {
				return err
			}
			ms = append(ms, median(t))
		}
		b.pair(c, ms[0], ms[1])
	}
	return nil
}

// sleepers describes n processes that do nothing, because the benchmarks only start and list them.
type sleepers struct {
	name string
	n    int
}

func (s sleepers) install(flags ...string) []string {
	return slices.Concat([]string{"clusterctl", "install", s.name, "--no-listen", "-i", fmt.Sprint(s.n)}, flags,
		[]string{"--", "/bin/sleep", "infinity"})
}

// ecosystem writes the configuration file with which PM2 starts the same processes, and returns its path. The
// file selects fork mode, in which PM2 runs any program.
func (s sleepers) ecosystem(ctx context.Context, b *bench) (path string, err error) {
	path = fmt.Sprintf("%s/%s.json", rig.Dir, s.name)
	text := fmt.Sprintf(`{"apps":[{"name":%q,"script":"/bin/sleep","args":"infinity","interpreter":"none",`+
		`"exec_mode":"fork","instances":%d}]}`, s.name, s.n)
	_, err = b.Run(ctx, "sh", "-c", `printf %s "$1" > "$2"`, "sh", text, path)
	return path, err
}

// awaitSleeping returns an error unless the given number of processes is named sleep.
func (b *bench) awaitSleeping(ctx context.Context, want int) error {
	u, err := b.Usage(ctx, false, "name:sleep")
	if err == nil && u[0].Processes != want {
		err = fmt.Errorf("%d processes are named sleep, want %d", u[0].Processes, want)
	}
	return err
}

// listLatency adds processes to both sides, and measures the commands that list all processes, as a table and as
// JSON.
func listLatency(ctx context.Context, b *bench) error {
	total := 0
	for _, n := range []int{10, 100, 500} {
		of := func(variant, ours, peer string) result.Comparison {
			return result.Comparison{Name: fmt.Sprintf("list-latency/%d%s", n, variant), Unit: "ms", Better: result.Less,
				OurSide: ours, PeerSide: peer,
				What: fmt.Sprintf("listing %d running processes", n)}
		}
		table, json := of("", "clusterctl ls", "pm2 ls"), of("-json", "clusterctl ls --json", "pm2 jlist")
		if b.Quick && n > 100 {
			b.skip(table)
			b.skip(json)
			continue
		}
		ct, cj := b.add(table), b.add(json)
		s := sleepers{fmt.Sprintf("sleep%d", n), n - total}
		total = n
		path, err := s.ecosystem(ctx, b)
		if err != nil {
			return err
		}
		// Install the app without the sandbox, because the creation of 400 sandboxes takes a long time. A sandbox does not
		// affect the lists.
		for _, argv := range [][]string{s.install("--sandbox", "off", "--settle", "0s"), rig.PM2Do("start", path)} {
			if _, err := b.Run(ctx, argv...); err != nil {
				return err
			}
		}
		if err := b.awaitSleeping(ctx, 2*total); err != nil {
			return err
		}
		runs := 3
		if n > 100 {
			runs = 1 // each command takes more than a second
		}
		if err := b.commands(ctx, ct, runs, []string{"clusterctl", "ls"}, rig.PM2Do("ls")); err != nil {
			return err
		}
		if err := b.commands(ctx, cj, runs, []string{"clusterctl", "ls", "--json"}, rig.PM2Do("jlist")); err != nil {
			return err
		}
	}
	return nil
}

// start100 measures the commands that start and remove a hundred processes.
func start100(ctx context.Context, b *bench) error {
	of := func(variant, what, ours, peer string) *result.Comparison {
		if b.Quick {
			b.skip(result.Comparison{Name: "start-100/" + variant, Unit: "ms", Better: result.Less, OurSide: ours,
				PeerSide: peer, What: what})
			return nil
		}
		return b.add(result.Comparison{Name: "start-100/" + variant, Unit: "ms", Better: result.Less, OurSide: ours,
			PeerSide: peer, What: what})
	}
	plain := of("defaults", "the command that installs and starts 100 processes, with defaults; "+
		"clusterctl waits a second to check that the processes stay alive", "clusterctl install", "pm2 start")
	bare := of("settle-0", "the command that installs and starts 100 processes, without the wait of a second",
		"clusterctl install --settle 0s", "pm2 start")
	off := of("sandbox-off", "the command that installs and starts 100 processes, without the wait of a second "+
		"and without the sandbox, which PM2 does not have",
		"clusterctl install --settle 0s --sandbox off", "pm2 start")
	away := of("away", "the command that stops and removes the 100 processes", "clusterctl uninstall", "pm2 delete")
	if b.Quick {
		return nil
	}
	s := sleepers{"hundred", 100}
	path, err := s.ecosystem(ctx, b)
	if err != nil {
		return err
	}
	if _, err := b.Run(ctx, rig.PM2Do("ping")...); err != nil {
		return err
	}
	ours, peer := []string{"clusterctl", "uninstall", "--yes", s.name}, rig.PM2Do("delete", s.name)
	for range b.Pairs {
		var up, down []float64
		for _, side := range [][2][]string{
			{s.install("--settle", "1s"), ours}, {rig.PM2Do("start", path), peer}, {s.install("--settle", "0s"), ours},
			{s.install("--settle", "0s", "--sandbox", "off"), ours},
		} {
			t, err := b.Time(ctx, 1, side[0]...)
			if err != nil {
				return err
			}
			if err := b.awaitSleeping(ctx, s.n); err != nil {
				return err
			}
			d, err := b.Time(ctx, 1, side[1]...)
			if err != nil {
				return err
			}
			up, down = append(up, t[0]), append(down, d[0])
		}
		b.pair(plain, up[0], up[1])
		b.pair(bare, up[2], up[1])
		b.pair(off, up[3], up[1])
		b.pair(away, down[0], down[1])
	}
	return nil
}

// scaleUp scales from 2 to 8 workers and measures until the last new worker listens. Each worker sends a datagram
// when it listens.
func scaleUp(ctx context.Context, b *bench) error {
	const from, to = 2, 8
	of := func(variant, what string) *result.Comparison {
		return b.add(result.Comparison{Name: "scale-up/" + variant, Unit: "ms", Better: result.Less, OurSide: sideOurs,
			PeerSide: sidePM2, What: what})
	}
	ready, command := of("listening", "from 2 to 8 workers, until all of them listen"), of("command",
		"from 2 to 8 workers, until the command returns; the command of PM2 returns before the workers listen")
	app := hello(from)
	app.Env = []string{fmt.Sprintf("TELL=%d", portTell)}
	if err := b.Ours(ctx, app.On(portOurs)); err != nil {
		return err
	}
	if err := b.PM2(ctx, app.On(portPM2)); err != nil {
		return err
	}
	up, down := scaleCommands(ctx, b, app.Name, from, to)
	sides := [][2][]string{{up, down}, {rig.PM2Do("scale", app.Name, fmt.Sprint(to)), rig.PM2Do("scale", app.Name, fmt.Sprint(from))}}
	for range b.Pairs {
		var r, c []float64
		for _, side := range sides {
			var t struct {
				Command float64 `json:"command_ms"`
				Ready   float64 `json:"ready_ms"`
			}
			args := append([]string{"ready", "-port", fmt.Sprint(portTell), "-n", fmt.Sprint(to - from), "--"}, side[0]...)
			if err := b.Inside(ctx, &t, args...); err != nil {
				return err
			}
			if _, err := b.Run(ctx, side[1]...); err != nil {
				return err
			}
			r, c = append(r, t.Ready), append(c, t.Command)
		}
		b.pair(ready, r[0], r[1])
		b.pair(command, c[0], c[1])
	}
	return nil
}

// scaleCommands returns the commands that scale an app to the two numbers of workers: clusterctl scale if it
// exists, and systemctl start and stop otherwise.
func scaleCommands(ctx context.Context, b *bench, app string, from, to int) (up, down []string) {
	if b.Help(ctx, "scale") != "" {
		return []string{"clusterctl", "scale", app, fmt.Sprint(to)}, []string{"clusterctl", "scale", app, fmt.Sprint(from)}
	}
	up, down = []string{"systemctl", "start"}, []string{"systemctl", "stop"}
	for i := from + 1; i <= to; i++ {
		unit := fmt.Sprintf("%s@%d", app, i)
		up, down = append(up, unit), append(down, unit)
	}
	return up, down
}

// memory measures the proportional set size (PSS), which divides shared memory among the processes.
func memory(ctx context.Context, b *bench) error {
	for _, workers := range []int{1, 8, 32} {
		of := func(variant, what string) result.Comparison {
			return result.Comparison{Name: fmt.Sprintf("memory/%d%s", workers, variant), Unit: "MB", Better: result.Less,
				OurSide: sideOurs, PeerSide: sidePM2,
				What: fmt.Sprintf("%s, %d workers, idle (PSS)", what, workers)}
		}
		all := of("", "the workers and their supervisors")
		alone := of("-supervision", "memory of the supervisors alone: our shims and the growth of PID 1 and journald, and PM2's daemon")
		if b.Quick && workers > 1 {
			b.skip(all)
			b.skip(alone)
			continue
		}
		if err := memoryOf(ctx, b, workers, b.add(all), b.add(alone)); err != nil {
			return fmt.Errorf("with %d workers: %w", workers, err)
		}
	}
	return nil
}

// system returns the selectors of the processes of systemd whose memory grows with the number of units.
func system() []string { return []string{"pid:1", "name:systemd-journal"} }

func memoryOf(ctx context.Context, b *bench, workers int, all, alone *result.Comparison) error {
	const mb = 1024
	app := hello(workers)
	// The program without a supervisor is only a reference for both sides, so it is measured once.
	plain, err := memoryBare(ctx, b, app.On(portReusePort))
	if err != nil {
		return err
	}
	var overOurs, overPM2 []float64
	for range b.Pairs {
		before, err := b.Usage(ctx, true, system()...)
		if err != nil {
			return err
		}
		if err := b.Ours(ctx, app.On(portOurs)); err != nil {
			return err
		}
		if err := b.Rest(ctx); err != nil {
			return err
		}
		u, err := b.Usage(ctx, true, append(system(), rig.OurCgroup(app.Name), "exe:clusterctl-shim")...)
		if err != nil {
			return err
		}
		grown := max(u[0].PSS-before[0].PSS, 0) + max(u[1].PSS-before[1].PSS, 0)
		if _, err := b.Run(ctx, "clusterctl", "uninstall", "--yes", app.Name); err != nil {
			return err
		}
		pm2, err := memoryPM2(ctx, b, app.On(portPM2))
		if err != nil {
			return err
		}
		b.pair(all, (u[2].PSS+grown)/mb, pm2[0].PSS/mb)
		b.pair(alone, (u[3].PSS+grown)/mb, pm2[1].PSS/mb)
		overOurs = append(overOurs, (u[2].PSS+grown-plain)/mb/float64(workers))
		overPM2 = append(overPM2, (pm2[0].PSS-plain)/mb/float64(workers))
	}
	note(all, "the same workers without a supervisor: %.1f MB; additional memory per worker: %.1f MB and %.1f MB",
		plain/mb, median(overOurs), median(overPM2))
	return nil
}

// memoryPM2 returns the memory of PM2 with its workers, and of the daemon alone.
func memoryPM2(ctx context.Context, b *bench, app rig.App) ([]rig.Usage, error) {
	if err := b.PM2(ctx, app); err != nil {
		return nil, err
	}
	if err := b.Rest(ctx); err != nil {
		return nil, err
	}
	u, err := b.Usage(ctx, true, "tree:"+rig.PM2PID, "pidfile:"+rig.PM2PID)
	if err != nil {
		return nil, err
	}
	_, err = b.Run(ctx, rig.PM2Do("kill")...)
	return u, err
}

// memoryBare returns the memory of the workers without a supervisor.
func memoryBare(ctx context.Context, b *bench, app rig.App) (float64, error) {
	app.Name = "bare"
	if err := b.ReusePort(ctx, app); err != nil {
		return 0, err
	}
	if err := b.Rest(ctx); err != nil {
		return 0, err
	}
	u, err := b.Usage(ctx, true, "name:node")
	if err == nil && u[0].Processes != app.Workers {
		err = fmt.Errorf("%d processes are named node, want %d", u[0].Processes, app.Workers)
	}
	if err != nil {
		return 0, err
	}
	return u[0].PSS, b.Drop(ctx, app.Name)
}
