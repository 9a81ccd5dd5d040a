package drain

// For tests that start processes.
var (
	Asleep   = asleep
	RanSoFar = ranSoFar
	MovedOn  = movedOn
)
