package control

import "slices"

// Step is one step of a rolling reload: one operation on several instances at once.
type Step struct {
	Op        Op
	Instances []int
}

// Roll returns the steps of a rolling reload. It restarts the instances in their order, batch at a time (at least one).
// With surge > 0, that many extra instances, numbered from above+1, are started first and stopped last, so the capacity
// never falls while batch <= surge. Without instances there are no steps.
func Roll(instances []int, above, batch, surge int) []Step {
	if len(instances) == 0 {
		return nil
	}
	var extra []int
	for i := range max(surge, 0) {
		extra = append(extra, above+1+i)
	}
	var steps []Step
	if extra != nil {
		steps = append(steps, Step{Start, extra})
	}
	for chunk := range slices.Chunk(instances, max(batch, 1)) {
		steps = append(steps, Step{Restart, slices.Clone(chunk)})
	}
	if extra != nil {
		steps = append(steps, Step{Stop, slices.Clone(extra)})
	}
	return steps
}
