package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/bench/compare"
	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// bootTime limits the boot of a machine. The first boot includes the build of its image.
const bootTime = 10 * time.Minute

// errTime is the reason why comparisons at the end of a slow run are missing.
var errTime = errors.New("the time budget of the run was used up")

// measure makes all comparisons. Each group has its own machine, so groups do not affect each other.
func measure(ctx context.Context, o options) (result.File, error) {
	f := result.File{Schema: result.Schema, Date: time.Now().UTC().Truncate(time.Second), Quick: o.quick, Machine: machine()}
	// Boot a machine before the time of the run begins, because the first boot may have to build the image.
	first, err := boot(ctx, o)
	if err != nil {
		return f, err
	}
	f.Machine.Versions, err = versions(ctx, first)
	if err := errors.Join(err, first.Close()); err != nil {
		return f, err
	}
	groups := slices.DeleteFunc(compare.Groups(), func(g compare.Group) bool { return !g.Matches(o.only) })
	begin, pace := time.Now(), fit{budget: o.budget}
	for i, g := range groups {
		if err := ctx.Err(); err != nil {
			return f, fmt.Errorf("the run was interrupted and writes no results: %w", err)
		}
		groupBegin := time.Now()
		left := o.budget - time.Since(begin)
		sizes, err := compare.Full(), error(nil)
		switch {
		case o.quick:
			sizes, err = pace.sizes(left, groups[i:])
		case left <= 0:
			err = errTime
		}
		var made []result.Comparison
		if err != nil {
			made = g.Fail(err)
		} else {
			made = group(ctx, o, g, sizes, o.groupLimit(g, left, pace))
			pace.add(g, sizes.Pairs, time.Since(groupBegin))
		}
		f.Comparisons = append(f.Comparisons, made...)
		printResults(made, time.Since(groupBegin))
	}
	if err := ctx.Err(); err != nil {
		return f, fmt.Errorf("the run was interrupted and writes no results: %w", err)
	}
	f.Seconds = time.Since(begin).Round(time.Second).Seconds()
	return f, f.Check()
}

// The type limit contains the time limit of a group, and the error for a group that exceeds the limit.
type limit struct {
	time time.Duration
	over error
}

// groupLimit returns the limit of a group: the shorter one of the group's own limit and the remaining time of the
// run. If a smoke run has no time left, the error in the result wraps compare.ErrNoTime.
func (o options) groupLimit(g compare.Group, left time.Duration, pace fit) limit {
	limited := g.Timeout * time.Duration(o.slow)
	if o.quick {
		limited = patience.For(pace.limit(g)) * time.Duration(o.slow)
	}
	if o.quick && left < limited {
		return limit{left, pace.noTime()}
	}
	limited = min(limited, left).Round(time.Second)
	return limit{limited, fmt.Errorf("took longer than %v", limited)}
}

// group makes the comparisons of one group within its time limit.
func group(ctx context.Context, o options, g compare.Group, s compare.Sizes, l limit) []result.Comparison {
	r, err := boot(ctx, o)
	if err != nil {
		return g.Fail(err)
	}
	within, cancel := context.WithTimeoutCause(ctx, l.time, l.over)
	defer cancel()
	made := g.Run(within, r, s)
	if err := r.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: stopping the machine:", err)
	}
	return made
}

func boot(ctx context.Context, o options) (*rig.Rig, error) {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	return rig.Boot(ctx, rig.Files(o.bin, o.root), os.Stderr)
}

// printResults prints the results of a group to stderr.
func printResults(made []result.Comparison, took time.Duration) {
	for _, c := range made {
		if c.Status == result.OK {
			fmt.Fprintf(os.Stderr, "%-42s %10.4g  %10.4g %-10s  ratio %.3g\n", c.Name, *c.Ours, *c.Peer, c.Unit, *c.Ratio)
		} else {
			fmt.Fprintf(os.Stderr, "%-42s %s: %s\n", c.Name, c.Status, c.Why)
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", strings.SplitN(made[0].Name, "/", 2)[0], took.Round(time.Second))
}

// machine returns a description of the host, whose kernel and CPUs the machines share.
func machine() result.Machine {
	m := result.Machine{CPUs: runtime.NumCPU(), CPU: lineOf("/proc/cpuinfo", "model name")}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if f := strings.Fields(lineOf("/proc/meminfo", "MemTotal")); len(f) > 0 {
		kb, _ := strconv.Atoi(f[0])
		m.MemoryMB = kb / 1024
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 0 {
			m.Load, _ = strconv.ParseFloat(f[0], 64)
		}
	}
	return m
}

// lineOf finds the first line "KEY: VALUE" of a file with the given key, and returns the value.
func lineOf(path, key string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, found := strings.Cut(line, ":"); found && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// versions returns the versions of all programs that take part.
func versions(ctx context.Context, r *rig.Rig) ([]result.Version, error) {
	var all []result.Version
	for _, v := range []struct{ name, script string }{
		{"clusterctl", "clusterctl version | head -n 1 | awk '{print $2}'"},
		{"systemd", "systemctl --version | head -n 1 | awk '{print $2}'"},
		{"Node.js", "node --version"},
		{"PM2", "sed -n 's/^ *\"version\": *\"\\(.*\\)\",*/\\1/p' /opt/npm/node_modules/pm2/package.json | head -n 1"},
		{"nginx", "nginx -v 2>&1 | sed 's/.*nginx.//'"},
		{"wrk", "dpkg-query -W -f '${Version}' wrk"},
		{"autocannon", "sed -n 's/^ *\"version\": *\"\\(.*\\)\",*/\\1/p' /opt/npm/node_modules/autocannon/package.json | head -n 1"},
	} {
		out, err := r.Run(ctx, "sh", "-c", v.script)
		out = strings.TrimSpace(out)
		if err == nil && out == "" {
			err = errors.New("the command printed nothing")
		}
		if err != nil {
			return nil, fmt.Errorf("getting the version of %s: %w", v.name, err)
		}
		all = append(all, result.Version{Name: v.name, Version: out})
	}
	return all, nil
}
