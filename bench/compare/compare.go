// Package compare defines the comparisons: what each one measures, on which sides, in which order. The sides of a pair are
// measured one right after the other, A B A B, so that other load on the machine affects both sides.
package compare

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
)

// Sizes describes how much a run measures.
type Sizes struct {
	Quick bool
	// Pairs is the number of pairs of each comparison.
	Pairs int
	// Seconds is the duration of one run of wrk.
	Seconds int
}

// Full returns the sizes of a complete run.
func Full() Sizes { return Sizes{Pairs: 5, Seconds: 2} }

// Quick returns the sizes of a smoke run, which shows in a few minutes that everything can be measured.
func Quick() Sizes { return Sizes{Quick: true, Pairs: 2, Seconds: 1} }

// pick returns the argument quick for a smoke run, and the argument full for a complete run.
func pick[T any](s Sizes, full, quick T) T {
	if s.Quick {
		return quick
	}
	return full
}

// Group is a set of comparisons that are made together on one machine.
type Group struct {
	// Names are the names of the comparisons, without variants.
	Names []string
	// Timeout limits a complete run of the group.
	Timeout time.Duration
	// Quick is the time of a smoke run of the group on two idle CPUs, including the boot of its machine.
	Quick time.Duration
	run   func(ctx context.Context, b *bench) error
}

// Groups returns all groups, in the order of a run.
func Groups() []Group {
	return []Group{
		{[]string{"cli-startup"}, time.Minute, 11 * time.Second, cliStartup},
		{[]string{"crash-to-ready"}, 4 * time.Minute, 24 * time.Second, crashToReady},
		{[]string{"new-connections-rps", "keepalive-rps"}, 7 * time.Minute, 21 * time.Second, rates},
		{[]string{"light-p99-while-blocked"}, 4 * time.Minute, 18 * time.Second, lightWhileBlocked},
		{[]string{"reload-failed-requests"}, 6 * time.Minute, 22 * time.Second, reloadFailed},
		{[]string{"scale-up"}, 3 * time.Minute, 13 * time.Second, scaleUp},
		{[]string{"start-100"}, 4 * time.Minute, 3 * time.Second, start100},
		{[]string{"list-latency"}, 5 * time.Minute, 17 * time.Second, listLatency},
		{[]string{"memory"}, 5 * time.Minute, 8 * time.Second, memory},
		{[]string{"log-throughput", "log-follow-latency"}, 5 * time.Minute, 14 * time.Second, logs},
		{[]string{"balance"}, 5 * time.Minute, 16 * time.Second, balance},
		{[]string{"herd"}, 6 * time.Minute, 20 * time.Second, herd},
		{[]string{"syscall-overhead"}, 3 * time.Minute, 11 * time.Second, syscallOverhead},
		{[]string{"kept-connections"}, 7 * time.Minute, 10 * time.Second, keptConnections},
	}
}

// Matches reports whether one of the group's names contains one of the comma-separated texts. An empty text matches all
// groups.
func (g Group) Matches(only string) bool {
	for text := range strings.SplitSeq(only, ",") {
		for _, n := range g.Names {
			if strings.Contains(n, text) {
				return true
			}
		}
	}
	return false
}

// ErrNoTime is the reason why a smoke run skips comparisons. If a group's context ends with this cause, the group skips
// the comparisons that it has not measured.
var ErrNoTime = errors.New("does not fit into the time of a smoke run")

// Run makes the comparisons of a group on a machine. Run returns at least one result for each name of the group. If a
// comparison could not be measured, its status is "failed", and its field Why contains the error.
func (g Group) Run(ctx context.Context, r *rig.Rig, s Sizes) []result.Comparison {
	b := &bench{Rig: r, Sizes: s}
	err := g.run(ctx, b)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrNoTime) {
		err = cause // the end of the context has interrupted the group, which is not a failure
	}
	return g.finish(b, err)
}

// Fail returns the results of a group that did not run because of the error err. If err wraps ErrNoTime, the comparisons are
// skipped.
func (g Group) Fail(err error) []result.Comparison { return g.finish(&bench{}, err) }

func (g Group) finish(b *bench, err error) []result.Comparison {
	if err == nil {
		err = b.err
	}
	for _, n := range g.Names {
		found := false
		for _, c := range b.series {
			found = found || c.Name == n || strings.HasPrefix(c.Name, n+"/")
		}
		if !found {
			b.add(result.Comparison{Name: n, What: "not started", Better: result.Less})
		}
	}
	var out []result.Comparison
	for _, c := range b.series {
		c.Finish(max(b.Pairs, 1), err)
		if c.Status == result.Failed && errors.Is(err, ErrNoTime) {
			c.Status = result.LeftOut
		}
		out = append(out, *c)
	}
	return out
}

// bench is the state of a running group.
type bench struct {
	*rig.Rig
	Sizes
	series []*result.Comparison
	err    error // error of the first pair without a ratio
}

// The method add registers a comparison before it is measured, so that the results contain it even if it fails.
func (b *bench) add(c result.Comparison) *result.Comparison {
	b.series = append(b.series, &c)
	return &c
}

// The method skip registers a comparison that a smoke run does not make.
func (b *bench) skip(c result.Comparison) {
	c.Status, c.Why = result.LeftOut, "not in a quick run"
	b.add(c)
}

// The method pair adds a pair to a comparison. A pair without a ratio makes only this comparison fail.
func (b *bench) pair(c *result.Comparison, ours, peer float64) {
	if err := c.Add(ours, peer); err != nil {
		c.Notes = append(c.Notes, err.Error())
		if b.err == nil {
			b.err = err
		}
	}
}

// awaitSame waits until the started programs are idle. It returns an error unless all ports return the same bytes.
func (b *bench) awaitSame(ctx context.Context, path string, ports ...int) error {
	if err := b.Rest(ctx); err != nil {
		return err
	}
	return b.Same(ctx, path, ports...)
}

// The function note adds a remark to a comparison.
func note(c *result.Comparison, format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

// median returns the median of figures, or 0 if figures is empty.
func median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	return result.SpreadOf(figures).Median
}

// The names of the sides in the results.
const (
	sideOurs      = "clusterctl"
	sidePM2       = "PM2 cluster mode"
	sideCluster   = "Node cluster module"
	sideReusePort = "SO_REUSEPORT, without a supervisor"
	sideNginx     = "nginx in front of the workers"
	sideBare      = "the program without a supervisor"
)

// The ports of the sides.
const (
	portOurs, portPM2, portCluster, portReusePort, portNginx, portNative = 8101, 8102, 8103, 8104, 8105, 8106

	portBehindNginx = 8200
	portTell        = 9100
)

// hello returns the program that most comparisons run.
func hello(workers int) rig.App { return rig.App{Name: "hello", Script: "hello.js", Workers: workers} }
