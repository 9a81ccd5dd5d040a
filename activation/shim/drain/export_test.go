package drain

// Functions for tests in package drain_test, which start processes.
var (
	Asleep   = asleep
	RanSoFar = ranSoFar
	MovedOn  = movedOn
)
