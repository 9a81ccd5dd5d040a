package control

import "slices"

// Step is one step of a rolling reload: the same operation on some instances at once.
type Step struct {
	Op        Op
	Instances []int
}

// Roll plans a rolling reload. The instances are restarted in their order, batch at a time (at least one). With surge > 0,
// that many extra ones, numbered on from above, are started before and stopped after, so that the capacity never
// falls while batch <= surge. The plan of no instances is empty.
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
