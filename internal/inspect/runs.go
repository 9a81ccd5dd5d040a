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

// Runs describes the runs of an instance, as recorded by the shim.
type Runs struct {
	// Failures is the number of short runs in a row.
	Failures int
	GaveUp   bool
	// Next is the time of the next start, or zero if no start is planned.
	Next time.Time
	// Uptime, Result and Status describe the last run that nobody has stopped. Result is the $SERVICE_RESULT of systemd
	// ("exit-code", "signal", …) or "unknown". If there was no such run, Result is empty. Status has the form "exited/1" or
	// "killed/SEGV".
	Uptime         time.Duration
	Result, Status string
}

// RunsOf returns the runs of an instance, and false if the shim has not recorded a run.
func (h Host) RunsOf(app string, instance int) (Runs, bool) {
	path := filepath.Join(h.Runs, contract.State(app, strconv.Itoa(instance)))
	info, err := os.Stat(path + contract.BackoffSuffix)
	if err != nil {
		return Runs{}, false
	}
	return runsOf(backoff.Load(path), info.ModTime(), time.Now()), true
}

// runsOf converts the state that the shim has written at the time written. The shim writes the state at the end of a run, so
// the next run starts one delay after this time. If the time of the next run has passed, the field Next is zero, because the
// shim does not always record the start of a run.
func runsOf(s backoff.State, written, now time.Time) Runs {
	r := Runs{Failures: s.Failures, GaveUp: s.GaveUp, Uptime: s.Uptime, Result: s.Result, Status: s.Status}
	if next := written.Add(contract.Delay(s.Failures)); s.Started == 0 && !s.GaveUp && next.After(now) {
		r.Next = next
	}
	return r
}

// LeftOf returns the connections that were still open when the last drain of an instance ended. It returns false if there
// were no such connections, or if the drain ended earlier than since.
func (h Host) LeftOf(app string, instance int, since time.Time) (left.Report, bool) {
	path := filepath.Join(h.Runs, contract.State(app, strconv.Itoa(instance)))
	info, err := os.Stat(path + contract.LeftSuffix)
	if err != nil || info.ModTime().Before(since) {
		return left.Report{}, false
	}
	return left.Load(path)
}
