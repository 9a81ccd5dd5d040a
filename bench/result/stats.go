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

// SpreadOf returns the spread of at least one figure. It does not change the slice.
func SpreadOf(figures []float64) Spread {
	s := slices.Sorted(slices.Values(figures))
	return Spread{Min: s[0], Q1: quantile(s, 0.25), Median: quantile(s, 0.5), Q3: quantile(s, 0.75), Max: s[len(s)-1]}
}

// Quantile returns the q quantile (0 to 1) of at least one figure, with linear interpolation.
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
	// Fewer is Less for counts of unwanted events, which may be zero.
	Fewer Better = "fewer"
)

// Ratio returns the ratio of two figures; a value over 1 means that ours is better. With Fewer, one is added to both
// counts, so that 0 against 0 is 1, and 0 against 9 is 10. It returns false if a figure is zero that must not be.
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

// The verdicts. A comparison is even if the median favours one side, but the quartiles do not both do so.
const (
	Ahead  Verdict = "ahead"
	Even   Verdict = "even"
	Behind Verdict = "behind"
)

// VerdictOf returns the verdict. A side is ahead if it is better in three of four pairs.
func VerdictOf(ratio Spread) Verdict {
	switch {
	case ratio.Q1 > 1:
		return Ahead
	case ratio.Q3 < 1:
		return Behind
	}
	return Even
}
