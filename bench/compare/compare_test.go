package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/bench/result"
	"github.com/clusterctl/clusterctl/bench/rig"
)

// TestNames checks the names of the comparisons, which occur in documents and results.
func TestNames(t *testing.T) {
	want := []string{
		"balance", "cli-startup", "crash-to-ready", "herd", "keepalive-rps", "kept-connections", "light-p99-while-blocked",
		"list-latency", "log-follow-latency",
		"log-throughput", "memory", "new-connections-rps", "reload-failed-requests", "scale-up", "start-100", "syscall-overhead",
	}
	var got []string
	for _, g := range Groups() {
		got = append(got, g.Names...)
		if g.Timeout <= 0 || g.Quick <= 0 || g.Quick > g.Timeout || g.run == nil {
			t.Errorf("%v has no time limit or no function", g.Names)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWants(t *testing.T) {
	g := Group{Names: []string{"new-connections-rps", "keepalive-rps"}}
	for only, want := range map[string]bool{"": true, "rps": true, "keepalive-rps": true, "herd": false, "herd,keep": true} {
		if g.Matches(only) != want {
			t.Errorf("Wants(%q) = %v", only, !want)
		}
	}
}

// TestRun checks the results of a group that stops with an error. Finished comparisons keep their
// results, unfinished comparisons fail, and every name has a result.
func TestRun(t *testing.T) {
	fatal := errors.New("the daemon has died")
	g := Group{Names: []string{"first", "second", "third"}, run: func(_ context.Context, b *bench) error {
		whole := b.add(result.Comparison{Name: "first/a", Better: result.Less})
		part := b.add(result.Comparison{Name: "first/b", Better: result.Less})
		b.skip(result.Comparison{Name: "second", Better: result.Less})
		b.pair(whole, 1, 2)
		b.pair(whole, 1, 2)
		b.pair(part, 1, 2)
		return fatal
	}}
	var got []string
	for _, c := range g.Run(t.Context(), &rig.Rig{}, Quick()) {
		got = append(got, c.Name+" "+string(c.Status)+" "+c.Why)
	}
	want := []string{"first/a ok ", "first/b failed the daemon has died", "second skipped not in a quick run",
		"third failed the daemon has died"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNoTime checks that unfinished comparisons are skipped if the group had no time left, and fail after
// any other error.
func TestNoTime(t *testing.T) {
	over := fmt.Errorf("%w of 3m20s", ErrNoTime)
	g := Group{Names: []string{"first", "second"}, run: func(ctx context.Context, b *bench) error {
		whole := b.add(result.Comparison{Name: "first/a", Better: result.Less})
		b.add(result.Comparison{Name: "first/b", Better: result.Less})
		for range b.Pairs {
			b.pair(whole, 1, 2)
		}
		return errors.New("wrk: signal: killed")
	}}
	cut, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	for _, c := range []struct {
		got  []result.Comparison
		want []string
	}{
		{g.Run(cut, &rig.Rig{}, Quick()), []string{"first/a ok ", "first/b skipped " + over.Error(), "second skipped " + over.Error()}},
		{g.Run(t.Context(), &rig.Rig{}, Quick()),
			[]string{"first/a ok ", "first/b failed wrk: signal: killed", "second failed wrk: signal: killed"}},
		{g.Fail(over), []string{"first skipped " + over.Error(), "second skipped " + over.Error()}},
	} {
		var got []string
		for _, c := range c.got {
			got = append(got, c.Name+" "+string(c.Status)+" "+c.Why)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestNoRatio checks that a figure of zero makes only its own comparison fail.
func TestNoRatio(t *testing.T) {
	g := Group{Names: []string{"x"}, run: func(_ context.Context, b *bench) error {
		bad, good := b.add(result.Comparison{Name: "x/bad", Better: result.More}), b.add(result.Comparison{Name: "x/good",
			Better: result.Fewer})
		for range b.Pairs {
			b.pair(bad, 0, 2)
			b.pair(good, 0, 0)
		}
		return nil
	}}
	got := g.Run(t.Context(), &rig.Rig{}, Quick())
	if got[0].Status != result.Failed || !strings.Contains(got[0].Why, "no ratio") || got[1].Status != result.OK {
		t.Errorf("got %+v, want a failure only of x/bad", got)
	}
}

func TestImbalance(t *testing.T) {
	for _, c := range []struct {
		connections []int
		workers     int
		want        float64
	}{
		{[]int{50, 50, 50, 50}, 4, 1},
		{[]int{100, 100}, 4, 2}, // two workers have no connections
		{[]int{70, 64, 40, 26}, 4, 1.4},
		{nil, 4, 0},
	} {
		if got := imbalance(c.connections, c.workers); got != c.want {
			t.Errorf("imbalance(%v, %d) = %v, want %v", c.connections, c.workers, got, c.want)
		}
	}
}
