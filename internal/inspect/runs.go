package inspect

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

// Runs is what the shim has recorded about the runs of an instance.
type Runs struct {
	// Failures is the number of short runs in a row.
	Failures int
	GaveUp   bool
	// Next is the time of the next start. It is zero if that time has passed.
	Next time.Time
	// Uptime, Result and Status describe the last run that ended by itself. Result is empty if there was none. Otherwise it
	// is systemd's word ("exit-code", "signal", …) or "unknown", and Status is "exited/1" or "killed/SEGV".
	Uptime         time.Duration
	Result, Status string
}

// RunsOf returns the state of the restarts of an instance, and false if the shim has recorded none.
func (h Host) RunsOf(app string, instance int) (Runs, bool) {
	path := filepath.Join(h.Runs, contract.State(app, strconv.Itoa(instance)))
	info, err := os.Stat(path + contract.BackoffSuffix)
	if err != nil {
		return Runs{}, false
	}
	return runsOf(backoff.Load(path), info.ModTime(), time.Now()), true
}

// runsOf returns the Runs of a state. The shim writes the state when a run ends, so the delay counts from written. The
// start of the next run is not always recorded.
func runsOf(s backoff.State, written, now time.Time) Runs {
	r := Runs{Failures: s.Failures, GaveUp: s.GaveUp, Uptime: s.Uptime, Result: s.Result, Status: s.Status}
	if next := written.Add(contract.Delay(s.Failures)); s.Started == 0 && !s.GaveUp && next.After(now) {
		r.Next = next
	}
	return r
}

// LeftOf returns the connections that were still open when the drain of an instance ended. It returns false if there were
// none, or if the drain was before since.
func (h Host) LeftOf(app string, instance int, since time.Time) (left.Report, bool) {
	path := filepath.Join(h.Runs, contract.State(app, strconv.Itoa(instance)))
	info, err := os.Stat(path + contract.LeftSuffix)
	if err != nil || info.ModTime().Before(since) {
		return left.Report{}, false
	}
	return left.Load(path)
}
