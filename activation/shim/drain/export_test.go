package drain

// Exports for package drain_test, whose tests start processes.
var (
	Asleep     = asleep
	CPUUsages  = cpuUsages
	AllHaveRun = allHaveRun
)
