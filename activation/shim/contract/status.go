package contract

// Exit statuses of the shim that a restart cannot fix. They lie above the statuses of systemd (200 to 245) and the usual ones
// of programs (sysexits.h has 64 to 78). The shim becomes the program, so a usual status can be the program's own.
const (
	StatusUsage       = 250 // the command line is invalid, so the unit is
	StatusUnavailable = 251 // the program cannot be adopted on this machine
	StatusGaveUp      = 252 // --max-restarts is reached
)

// FinalStatuses returns the statuses for RestartPreventExitStatus=, in ascending order.
func FinalStatuses() []int { return []int{StatusUsage, StatusUnavailable, StatusGaveUp} }
