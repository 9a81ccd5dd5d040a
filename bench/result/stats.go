package result

import (
	"math"
	"slices"
)

// Spread is how a set of figures lies.
type Spread struct {
	Min    float64 `json:"min"`
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
	Max    float64 `json:"max"`
}

// SpreadOf gives the spread of at least one figure. The figures stay as they are.
func SpreadOf(figures []float64) Spread {
	s := slices.Sorted(slices.Values(figures))
	return Spread{Min: s[0], Q1: quantile(s, 0.25), Median: quantile(s, 0.5), Q3: quantile(s, 0.75), Max: s[len(s)-1]}
}

// Quantile is the figure below which a part q of the figures lies, between 0 and 1, in between by a straight line. There
// must be a figure.
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

// Better says in which direction a figure improves.
type Better string

// The directions.
const (
	More Better = "more"
	Less Better = "less"
	// Fewer is Less for counts of what should not happen, which may be zero.
	Fewer Better = "fewer"
)

// Ratio compares two figures so that more than 1 is better for the first. With Fewer, one is added to both counts, so that
// none against none is 1 and none against nine is 10. It is false where there is no ratio: with something that is zero and
// should not be.
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

// Verdict is what the ratios of all pairs say together.
type Verdict string

// The verdicts. A comparison is even when one side is ahead in the median, but not in all pairs between the quartiles.
const (
	Ahead  Verdict = "ahead"
	Even   Verdict = "even"
	Behind Verdict = "behind"
)

// VerdictOf looks at the quartiles: a side is ahead when it is in three of four pairs.
func VerdictOf(ratio Spread) Verdict {
	switch {
	case ratio.Q1 > 1:
		return Ahead
	case ratio.Q3 < 1:
		return Behind
	}
	return Even
}
