package contract

// Exit statuses of the shim after which a restart does not help. They are above the statuses of systemd (200 to 245) and of
// programs (sysexits.h has 64 to 78): the shim becomes the program, so a lower status may come from the program.
const (
	StatusUsage       = 250 // the command line in the unit is invalid
	StatusUnavailable = 251 // the program cannot be adopted on this machine
	StatusGaveUp      = 252 // the limit of --max-restarts is reached
)

// FinalStatuses returns the statuses for RestartPreventExitStatus=, in ascending order.
func FinalStatuses() []int { return []int{StatusUsage, StatusUnavailable, StatusGaveUp} }
