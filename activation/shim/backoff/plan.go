package backoff

import (
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Stop is the reason why a run ends, as ExecStop= has recorded it.
type Stop uint8

// The values of Stop. NotRecorded means that ExecStop= did not run, for example because the service never became ready.
const (
	NotRecorded Stop = iota
	Requested        // the service manager stopped the service
	ByItself         // the program ended by itself
)

// State is the state of an instance in its file, which lasts from one run to the next. Times are nanoseconds of
// CLOCK_BOOTTIME, which a change of the date does not affect.
type State struct {
	Failures int           // short runs in a row
	Started  time.Duration // when the current run began; 0: the instance does not run, or the start was not recorded
	Next     time.Duration // when the delay after the last run ends; 0: unknown
	Stop     Stop
	GaveUp   bool
	// Uptime, Result and Status describe the last run that ended by itself, to show them to the user.
	Uptime time.Duration
	Result string // $SERVICE_RESULT, or "unknown"
	Status string // $EXIT_CODE/$EXIT_STATUS, as "exited/1" or "killed/SEGV"
}

// Policy holds the values of --min-uptime and --max-restarts.
type Policy struct {
	MinUptime   time.Duration // a run that ends before this time is short
	MaxRestarts int           // give up after this many restarts of short runs; negative: never
}

// Decision is the decision about a start: give up, or start after a delay.
type Decision struct {
	GiveUp bool
	Delay  time.Duration
}

// Plan returns the new state and the decision before a start. If Ended was not called after the last run, because the unit
// has no ExecStopPost= or this command was killed, Plan counts the run as if it had lasted until now.
func Plan(s State, p Policy, now time.Duration) (State, Decision) {
	if s.GaveUp {
		s = State{Result: s.Result, Status: s.Status, Uptime: s.Uptime}
	}
	if s.Started > 0 {
		s = countRun(s, p, now, s.Stop == Requested)
		s.Result, s.Status = "unknown", ""
	}
	if p.MaxRestarts >= 0 && s.Failures > p.MaxRestarts {
		s.GaveUp = true
		return s, Decision{GiveUp: true}
	}
	return s, Decision{Delay: contract.Delay(s.Failures)}
}

// Exit describes how a run ended. Its first three fields hold variables that systemd passes to ExecStopPost=.
type Exit struct {
	Result string // $SERVICE_RESULT
	Code   string // $EXIT_CODE: exited, killed or dumped; empty when no process was started
	Status string // $EXIT_STATUS: a number or a signal's name
	// HasExecStop reports whether the unit has an ExecStop= that calls Stopping. In such a unit, NotRecorded means that the
	// run was stopped before it was ready, or failed to become ready.
	HasExecStop bool
	// GaveUp reports whether the shim ended because the instance has given up.
	GaveUp bool
}

// isRequested reports whether the run was stopped on purpose. A run that was killed by a signal and has the
// result "success" (TERM, INT, HUP, PIPE) was stopped by another process. If a run exits with status 0 before it is
// ready, the result is "success" if systemd stopped it, and "protocol" otherwise. If the unit has no ExecStop=, a run
// with status 0 may have been stopped or may have ended by itself. Then isRequested returns false, because a program that
// ends by itself must not restart without a delay.
func (e Exit) isRequested(s Stop) bool {
	if s == Requested {
		return true
	}
	if e.Result != "success" || s == ByItself {
		return false
	}
	return e.Code == "killed" || e.Code == "" || e.HasExecStop
}

// Ended returns the new state after a run has ended at the time now.
func Ended(s State, p Policy, e Exit, now time.Duration) State {
	if e.GaveUp {
		s.GaveUp = true
		return s
	}
	if s.GaveUp {
		s = State{} // this run was started by hand
	}
	if e.isRequested(s.Stop) {
		return State{}
	}
	if s.Started == 0 {
		// The shim could not record the start, because it does not run as root. So count the run from the end of the
		// delay. If this time is unknown, too, count a run of length 0.
		s.Started = now
		if s.Next > 0 {
			s.Started = min(s.Next, now)
		}
	}
	s = countRun(s, p, now, false)
	s.Next = now + contract.Delay(s.Failures)
	s.Result, s.Status = e.Result, contract.Exit{Code: e.Code, Status: e.Status}.String()
	return s
}

func countRun(s State, p Policy, now time.Duration, requested bool) State {
	s.Uptime = max(now-s.Started, 0)
	s.Started, s.Stop = 0, NotRecorded
	switch {
	case requested:
		s.Failures = 0
	case s.Uptime >= p.MinUptime:
		s.Failures = 1
	case s.Failures < maxFailures:
		s.Failures++
	}
	return s
}

// maxFailures limits the counter. Far smaller numbers already lead to the longest delay.
const maxFailures = 1 << 30
