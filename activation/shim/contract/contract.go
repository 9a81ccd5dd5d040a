// Package contract defines what clusterctl-shim shares with the rest of the product: exit statuses, default times, the
// names of files in /run/clusterctl, the flag --map, the report of a probe, and texts that another program parses.
//
// The units of an earlier release call the current shim, and the shim of an earlier release may have written a file in
// /run. So the meaning of a value must not change: a new meaning needs a new name.
//
// The package does not read files, the clock or the environment.
package contract

import "path"

// Exit statuses of the shim after which a restart does not help. The numbers are above the statuses of systemd (200 to 245)
// and of programs (sysexits.h has 64 to 78): the shim becomes the program, so a lower status may come from the program
// itself.
const (
	StatusUsage       = 250 // the command line in the unit is invalid
	StatusUnavailable = 251 // the program cannot be adopted on this machine
	StatusGaveUp      = 252 // the limit of --max-restarts is reached
)

// FinalStatuses returns the statuses for RestartPreventExitStatus=, in ascending order.
func FinalStatuses() []int { return []int{StatusUsage, StatusUnavailable, StatusGaveUp} }

// RunDirectory holds the locks of the apps, and a directory for each app. Only root writes to this directory. The functions
// of this package return paths relative to RunDirectory.
const RunDirectory = "/run/clusterctl"

// State returns the path of the files of an instance without their suffix, as in "shop/1". The instance is a number, or %i
// in a unit.
func State(app, instance string) string { return path.Join(app, instance) }

// Suffixes of the files of an instance.
const (
	// BackoffSuffix is the suffix of the file with the state of the backoff.
	BackoffSuffix = ".backoff"
	// LeftSuffix is the suffix of the file with the connections that the last drain left open.
	LeftSuffix = ".left"
	// NewSuffix is appended to the name of a file until the file is complete.
	NewSuffix = ".new"
)

// StateSuffixes returns the suffixes of all files of an instance.
func StateSuffixes() []string {
	return []string{BackoffSuffix, BackoffSuffix + NewSuffix, LeftSuffix, LeftSuffix + NewSuffix}
}

// ReportPath returns the path of the report of a probe.
func ReportPath(app string) string { return path.Join(app, "probe.json") }

// LockSuffix is the suffix of the lock of an app. The name of an app must not end with LockSuffix.
const LockSuffix = ".lock"

// ExtraDirectory contains a file for each extra instance, with a name such as shop@5. An extra instance has a number above
// the CPU count. An extra instance runs until a reload has ended, or until a scale has written its units. The name of an
// app does not begin with a dot, so ExtraDirectory cannot be the directory of an app.
const ExtraDirectory = ".extra"
