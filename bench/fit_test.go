package main

import (
	"errors"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/bench/compare"
)

// TestFit checks that a machine of the expected speed measures two pairs in each group, that a slower machine measures
// only one pair in some groups, and that a very slow machine skips some groups.
func TestFit(t *testing.T) {
	groups := compare.Groups()
	for _, c := range []struct {
		slow           float64
		twice, skipped bool
	}{{0.5, true, false}, {1, true, false}, {1.4, false, false}, {3, false, true}, {10, false, true}} {
		f := fit{budget: quickBudget}
		left, measured, skipped, once := quickBudget, 0, 0, 0
		for i, g := range groups {
			s, err := f.sizes(left, groups[i:])
			if err != nil {
				if !errors.Is(err, compare.ErrNoTime) {
					t.Errorf("%v times slower: %v", c.slow, err)
				}
				skipped++
				continue
			}
			took := time.Duration(float64(fit{}.expect(g, s.Pairs)) * c.slow)
			if limit := f.limit(g); took > limit && i > 0 {
				t.Errorf("%v times slower: %v takes %v, but fails after %v", c.slow, g.Names, took, limit)
			}
			f.add(g, s.Pairs, took)
			left -= took
			measured++
			if s.Pairs == 1 {
				once++
			}
		}
		// The first group starts before the speed of the machine is known.
		if left < -quickBudget/2 || measured == 0 || (once == 0) != c.twice || (skipped > 0) != c.skipped {
			t.Errorf("%v times slower: measured %d groups, %d of them with one pair, skipped %d, %v left", c.slow,
				measured, once, skipped, left)
		}
	}
}

// TestLimit checks the time after which a group that hangs fails.
func TestLimit(t *testing.T) {
	g := compare.Group{Quick: 10 * time.Second}
	f := fit{budget: quickBudget}
	if got := f.limit(g); got != time.Minute {
		t.Errorf("got %v, want %v", got, time.Minute)
	}
	f.add(g, 2, 30*time.Second)
	if got := f.limit(g); got != 2*time.Minute {
		t.Errorf("three times slower: %v", got)
	}
}
