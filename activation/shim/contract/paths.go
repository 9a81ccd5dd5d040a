package contract

import "path"

// RunDirectory holds the locks of the apps, and a directory for each app. Only root writes to it. The paths of the other
// functions are relative to it.
const RunDirectory = "/run/clusterctl"

// State returns the path of an instance, "shop/1". The shim keeps what it knows about the instance in files with this path
// and a suffix. The instance is a number, or %i in a unit.
func State(app, instance string) string { return path.Join(app, instance) }

// Suffixes of the files of an instance.
const (
	// BackoffSuffix is the suffix of the state of the backoff.
	BackoffSuffix = ".backoff"
	// LeftSuffix is the suffix of the connections that the last drain left open.
	LeftSuffix = ".left"
	// NewSuffix is added to the name of a file that is written, and renamed when it is complete.
	NewSuffix = ".new"
)

// StateSuffixes returns the suffixes of all files of an instance.
func StateSuffixes() []string {
	return []string{BackoffSuffix, BackoffSuffix + NewSuffix, LeftSuffix, LeftSuffix + NewSuffix}
}

// ReportPath returns the path of the report of a probe.
func ReportPath(app string) string { return path.Join(app, "probe.json") }

// LockSuffix is the suffix of the lock of an app, so no app can have it in its name.
const LockSuffix = ".lock"

// ExtraDirectory holds the marks of extra instances, files with names such as shop@5: such an instance runs although the CPU
// count does not reach so far, until a reload has ended or a scale has written its units. No app can have this name, which
// begins with a dot.
const ExtraDirectory = ".extra"
