package main

import (
	"fmt"
	"time"

	"github.com/clusterctl/clusterctl/bench/compare"
)

// fit adapts a smoke run to its time budget. The field Quick of a group is the time of a smoke run of the group on an idle
// machine with two CPUs. fit computes from the finished groups how much slower this machine is.
type fit struct {
	budget         time.Duration
	expected, took time.Duration // expected and actual time of all finished groups
}

// slowness returns how many times longer than expected the finished groups took.
func (f fit) slowness() float64 {
	if f.expected <= 0 {
		return 1
	}
	return float64(f.took) / float64(f.expected)
}

// expect returns how long a group will take on this machine. One pair takes two thirds of the time of two pairs, because
// the sides must be started in any case.
func (f fit) expect(g compare.Group, pairs int) time.Duration {
	d := float64(g.Quick) * f.slowness()
	if pairs == 1 {
		d = d * 2 / 3
	}
	return time.Duration(d)
}

// sizes returns how much to measure in the first of the groups, or an error that wraps compare.ErrNoTime. The parameter
// groups contains all remaining groups, and the parameter left is the remaining time. If this time is too short for two
// pairs in each group, sizes returns one pair.
func (f fit) sizes(left time.Duration, groups []compare.Group) (compare.Sizes, error) {
	s := compare.Quick()
	var all time.Duration
	for _, g := range groups {
		all += f.expect(g, s.Pairs)
	}
	if all > left {
		s.Pairs = 1
	}
	if f.expect(groups[0], s.Pairs) > left {
		return s, f.noTime()
	}
	return s, nil
}

func (f fit) noTime() error { return fmt.Errorf("%w of %v", compare.ErrNoTime, f.budget) }

// limit returns the time limit of a group, which is far longer than the expected time.
func (f fit) limit(g compare.Group) time.Duration {
	return max(time.Minute, 4*f.expect(g, compare.Quick().Pairs)).Round(time.Second)
}

// The method add records how long a group took.
func (f *fit) add(g compare.Group, pairs int, took time.Duration) {
	f.expected += fit{}.expect(g, pairs)
	f.took += took
}
