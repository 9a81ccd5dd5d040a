package result

import (
	"math"
	"slices"
)

// Spread describes the distribution of a set of figures.
type Spread struct {
	Min    float64 `json:"min"`
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
	Max    float64 `json:"max"`
}

// SpreadOf returns the spread of figures, which must not be empty. SpreadOf does not change the slice.
func SpreadOf(figures []float64) Spread {
	s := slices.Sorted(slices.Values(figures))
	return Spread{Min: s[0], Q1: quantile(s, 0.25), Median: quantile(s, 0.5), Q3: quantile(s, 0.75), Max: s[len(s)-1]}
}

// Quantile returns the q quantile of figures with linear interpolation. q is between 0 and 1. figures must not be
// empty.
func Quantile(figures []float64, q float64) float64 {
	return quantile(slices.Sorted(slices.Values(figures)), q)
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}

// Better is the direction in which a figure improves.
type Better string

// The directions.
const (
	More Better = "more"
	Less Better = "less"
	// Fewer is for counts of unwanted events. A lower count is better, and a count may be zero.
	Fewer Better = "fewer"
)

// Ratio returns the ratio of two figures; a value over 1 means that ours is better. With Fewer, Ratio adds 1 to both counts,
// so that the ratio of 0 and 0 is 1, and the ratio of 0 and 9 is 10. Ratio returns false if a figure is zero and the
// parameter b is not Fewer.
func (b Better) Ratio(ours, peer float64) (float64, bool) {
	switch b {
	case More:
		ours, peer = peer, ours
	case Fewer:
		ours, peer = ours+1, peer+1
	}
	if ours <= 0 || peer <= 0 {
		return 0, false
	}
	return peer / ours, true
}

// Verdict summarizes the ratios of all pairs.
type Verdict string

// The verdicts. A comparison is even if the lower quartile of the ratios is at most 1 and the upper quartile is at
// least 1.
const (
	Ahead  Verdict = "ahead"
	Even   Verdict = "even"
	Behind Verdict = "behind"
)

// VerdictOf returns the verdict for the spread of the ratios. Ahead or behind means that one side is better in at
// least three of four pairs.
func VerdictOf(ratio Spread) Verdict {
	switch {
	case ratio.Q1 > 1:
		return Ahead
	case ratio.Q3 < 1:
		return Behind
	}
	return Even
}
