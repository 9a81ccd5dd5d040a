package drain

// Asleep is asleep, for tests that start processes.
var Asleep = asleep
