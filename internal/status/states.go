package status

import (
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units/control"
)

// lastRun returns a text about the end of the last run in the records of the shim.
func lastRun(r inspect.Runs) string {
	how := control.ExplainExit(r.Result, r.Status)
	if how == "" || r.Uptime <= 0 {
		return how
	}
	return how + " after " + text.Duration(r.Uptime)
}

// isDelayed reports whether an instance waits because the shim delays the start of its program after short runs.
func isDelayed(st control.State, runs *inspect.Runs) bool {
	if st.Active != control.Activating {
		return false
	}
	if runs != nil {
		return runs.Failures > 0 && !runs.Next.IsZero()
	}
	// Without records of the shim, only the state of the unit can show the delay. Either the command of ExecStartPre= runs,
	// which waits until the delay is over, or the shim reports the delay in its status.
	_, isReported := contract.ParseWaiting(st.StatusText)
	return st.Restarts > 0 && (st.Sub == "start-pre" || isReported)
}

// nextRestart returns when systemd (RestartSec=) or the shim will start the program again. nextRestart returns nil if no
// restart is planned.
func nextRestart(st control.State, runs *inspect.Runs) *time.Time {
	var next time.Time
	if runs != nil {
		next = runs.Next
	}
	if st.WaitsForRestart() && !st.StateSince.IsZero() {
		if own := st.StateSince.Add(st.RestartDelay); own.After(next) {
			next = own
		}
	}
	if next.IsZero() {
		return nil
	}
	return &next
}

// stoppedInDelay reports whether somebody has stopped the instance during the delay of the shim. systemd then records a
// failure, because the stop kills the ExecStartPre= command that waits.
func stoppedInDelay(st control.State) bool {
	const killed = 2 // CLD_KILLED
	return st.Result == "signal" && st.ExecMainCode == 0 && st.PreCode == killed && st.PreStatus == int(syscall.SIGTERM)
}

// instanceState returns the state of an instance, such as "running" or "gave up".
func instanceState(st control.State, runs *inspect.Runs) string {
	switch {
	case st.Up():
		return "running"
	case st.WaitsForRestart(), isDelayed(st, runs):
		return "restarting"
	case st.Active == control.Activating:
		return "starting"
	case st.Active == control.Deactivating:
		return "stopping"
	case st.Load == control.Masked:
		return "masked"
	case st.Active == control.ActiveFailed && st.ExecMainStatus == contract.StatusGaveUp && st.Result == "exit-code":
		return "gave up"
	case st.Active == control.ActiveFailed && stoppedInDelay(st):
		return "stopped"
	case st.Active == control.ActiveFailed:
		return "failed"
	case st.Skipped():
		return "skipped"
	}
	return "stopped"
}

// appState returns the state of the app: "running", "degraded", "starting", "stopping", "restarting", "stopped", "gave up"
// or "failed". The parameter socketBroken is set if a socket of the app has failed or is masked.
func appState(aggregate control.State, s App, socketBroken bool) string {
	some := func(state string) bool {
		return slices.ContainsFunc(s.Instances, func(i Instance) bool { return i.State == state })
	}
	switch {
	case s.Ready == s.Wanted && s.Ready > 0:
		return "running"
	case s.Ready > 0:
		return "degraded"
	case aggregate.Active == control.Activating:
		return "starting"
	case aggregate.Active == control.Deactivating:
		return "stopping"
	case some("restarting"):
		return "restarting"
	case some("starting"):
		return "starting"
	case some("stopping"):
		return "stopping"
	case aggregate.Active != control.ActiveFailed && s.Problem == "":
		// The aggregate (see Units) may still be active, because all workers may have ended without an error (--restart
		// on-failure, --restart no).
		return "stopped"
	case s.Wanted > 0 && !slices.ContainsFunc(s.Instances, func(i Instance) bool { return i.State != "gave up" && i.State != "skipped" }):
		return "gave up"
	case aggregate.Active == control.Inactive && !socketBroken:
		// The service of the app is inactive only if somebody has stopped the app. A worker can still be in a failed state,
		// because it failed before or during the stop.
		return "stopped"
	}
	return "failed"
}

// Words returns a text with the state, such as "degraded 3/4" or "restarting in 2 s".
func (s App) Words(now time.Time) string {
	if s.State == "degraded" {
		return fmt.Sprintf("degraded %d/%d", s.Ready, s.Wanted)
	}
	return inWords(s.State, s.NextRestart, now)
}

// Words returns a text with the state, such as "running" or "restarting in 2 s".
func (i Instance) Words(now time.Time) string { return inWords(i.State, i.NextRestart, now) }

func inWords(state string, next *time.Time, now time.Time) string {
	if state != "restarting" || next == nil {
		return state
	}
	wait := next.Sub(now)
	switch {
	case wait <= 0:
		return state
	case wait < time.Second:
		return fmt.Sprintf("restarting in %.1f s", max(wait.Seconds(), 0.1))
	}
	return fmt.Sprintf("restarting in %d s", int(math.Ceil(wait.Seconds())))
}
