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

// Runs is what the shim has noted about the runs of an instance.
type Runs struct {
	// Failures are the short runs in a row.
	Failures int
	GaveUp   bool
	// Next is when the next start is due. It is zero when that time has passed.
	Next time.Time
	// Uptime, Result and Status are of the last run that ended by itself; Result is empty when there was none. Result is
	// systemd's word ("exit-code", "signal", …) or "unknown", Status is "exited/1" or "killed/SEGV".
	Uptime         time.Duration
	Result, Status string
}

// RunsOf reads the state of the backoff. It is false when there is none.
func (h Host) RunsOf(app string, instance int) (Runs, bool) {
	path := filepath.Join(h.Runs, contract.State(app, strconv.Itoa(instance)))
	info, err := os.Stat(path + contract.BackoffSuffix)
	if err != nil {
		return Runs{}, false
	}
	return runsOf(backoff.Load(path), info.ModTime(), time.Now()), true
}

// runsOf: the state is written when a run ends, so the wait counts from there. That the next run has begun is not always noted.
func runsOf(s backoff.State, written, now time.Time) Runs {
	r := Runs{Failures: s.Failures, GaveUp: s.GaveUp, Uptime: s.Uptime, Result: s.Result, Status: s.Status}
	if next := written.Add(contract.Delay(s.Failures)); s.Started == 0 && !s.GaveUp && next.After(now) {
		r.Next = next
	}
	return r
}

// LeftOf returns the connections that the drain of an instance has left since that time; false where it has left none.
func (h Host) LeftOf(app string, instance int, since time.Time) (left.Report, bool) {
	path := filepath.Join(h.Runs, contract.State(app, strconv.Itoa(instance)))
	info, err := os.Stat(path + contract.LeftSuffix)
	if err != nil || info.ModTime().Before(since) {
		return left.Report{}, false
	}
	return left.Load(path)
}
