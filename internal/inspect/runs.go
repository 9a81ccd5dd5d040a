package inspect

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/backoff"
)

// Runs is what the shim has noted about the runs of an instance.
type Runs struct {
	// Failures are the short runs in a row.
	Failures int
	GaveUp   bool
	// Next is when the next start is due, if the instance is about to start: behind a wait, or at once.
	Next time.Time
	// Uptime, Result and Status are of the last run that ended by itself; Result is empty when there was none. Result is
	// systemd's word ("exit-code", "signal", …) or "unknown", Status is "exited/1" or "killed/SEGV".
	Uptime         time.Duration
	Result, Status string
}

// RunsOf reads the state of the backoff. It is false when there is none, or when it may not be read: the directories of
// a dynamic user are closed to all but root.
func (h Host) RunsOf(app string, instance int) (Runs, bool) {
	dir := filepath.Join(h.Runs, app, strconv.Itoa(instance))
	info, err := os.Stat(filepath.Join(dir, backoff.FileName))
	if err != nil {
		return Runs{}, false
	}
	return runsOf(backoff.Load(dir), info.ModTime()), true
}

// runsOf: the state is written when a run ends and again when a start begins, so the wait counts from there.
func runsOf(s backoff.State, written time.Time) Runs {
	r := Runs{Failures: s.Failures, GaveUp: s.GaveUp, Uptime: s.Uptime, Result: s.Result, Status: s.Status}
	if s.Started == 0 && !s.GaveUp {
		r.Next = written.Add(backoff.Delay(s.Failures))
	}
	return r
}
