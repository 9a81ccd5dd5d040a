// Package contract owns the facts that clusterctl-shim shares with the rest of the product: exit statuses, default times,
// the names of files in /run/clusterctl, the flag --map, the report of a probe, and texts that another program parses.
//
// Units of an earlier release call the shim of this one, and a file in /run may come from an earlier shim. So the meaning of
// a value must not change: a new meaning needs a new name.
//
// The package is pure: it does not read files, the clock or the environment.
package contract

import "path"

// Exit statuses of the shim after which a restart does not help. They are above the statuses of systemd (200 to 245) and of
// programs (sysexits.h has 64 to 78): the shim becomes the program, so a lower status may come from the program.
const (
	StatusUsage       = 250 // the command line in the unit is invalid
	StatusUnavailable = 251 // the program cannot be adopted on this machine
	StatusGaveUp      = 252 // the limit of --max-restarts is reached
)

// FinalStatuses returns the statuses for RestartPreventExitStatus=, in ascending order.
func FinalStatuses() []int { return []int{StatusUsage, StatusUnavailable, StatusGaveUp} }

// RunDirectory holds the locks of the apps, and a directory for each app. Only root writes to it. The functions of this
// package return paths below it.
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
	// NewSuffix is the additional suffix of a file until it is complete.
	NewSuffix = ".new"
)

// StateSuffixes returns the suffixes of all files of an instance.
func StateSuffixes() []string {
	return []string{BackoffSuffix, BackoffSuffix + NewSuffix, LeftSuffix, LeftSuffix + NewSuffix}
}

// ReportPath returns the path of the report of a probe.
func ReportPath(app string) string { return path.Join(app, "probe.json") }

// LockSuffix is the suffix of the lock of an app. The name of an app must not end with it.
const LockSuffix = ".lock"

// ExtraDirectory holds the marks of extra instances, which are files with names such as shop@5. An extra instance has a
// number above the CPU count, and runs until a reload has ended or a scale has written its units. An app cannot have this
// name, which begins with a dot.
const ExtraDirectory = ".extra"
