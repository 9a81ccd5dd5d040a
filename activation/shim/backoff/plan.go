package backoff

import (
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Stop is what ExecStop= has recorded about the run.
type Stop uint8

// The values of Stop. NotRecorded also means that the run never became ready: systemd calls ExecStop= only for a service
// that has started.
const (
	NotRecorded Stop = iota
	Requested        // the service manager stops a living service
	ByItself         // the program ended by itself
)

// State is the state of an instance that is kept between its runs. Times are nanoseconds of CLOCK_BOOTTIME, which a change
// of the date does not affect.
type State struct {
	Failures int           // short runs in a row
	Started  time.Duration // when the current run began; 0: the instance does not run, or the start was not recorded
	Next     time.Duration // when the delay after the last run ends; 0: not known
	Stop     Stop
	GaveUp   bool
	// The last run that ended by itself, to show to the user:
	Uptime time.Duration
	Result string // $SERVICE_RESULT, or "unknown"
	Status string // $EXIT_CODE/$EXIT_STATUS, as "exited/1" or "killed/SEGV"
}

// Policy holds the values of the flags.
type Policy struct {
	MinUptime   time.Duration // a run of this length is not short
	MaxRestarts int           // give up after this many restarts of short runs; negative: never
}

// Decision is what the launcher must do.
type Decision struct {
	GiveUp bool
	Delay  time.Duration
}

// Plan returns the state to keep and the decision at a start. If ExecStopPost= did not judge the last run, because the unit
// lacks it or it was killed too, Plan judges the run by the time since its start.
func Plan(s State, p Policy, now time.Duration) (State, Decision) {
	if s.GaveUp {
		s = State{Result: s.Result, Status: s.Status, Uptime: s.Uptime}
	}
	if s.Started > 0 {
		s = judge(s, p, now, s.Stop == Requested)
		s.Result, s.Status = "unknown", ""
	}
	if p.MaxRestarts >= 0 && s.Failures > p.MaxRestarts {
		s.GaveUp = true
		return s, Decision{GiveUp: true}
	}
	return s, Decision{Delay: contract.Delay(s.Failures)}
}

// Exit is the end of a run as systemd passes it to ExecStopPost=.
type Exit struct {
	Result string // $SERVICE_RESULT
	Code   string // $EXIT_CODE: exited, killed or dumped; empty when no process was started
	Status string // $EXIT_STATUS: a number or a signal's name
	// HasExecStop reports whether the unit has an ExecStop= that calls Stopping. Then a run without a record was stopped
	// before it was ready, or failed to become ready.
	HasExecStop bool
	// GaveUp reports whether the launcher ended because the instance has given up.
	GaveUp bool
}

// requested reports whether the run was stopped on purpose. A signal that systemd counts as a clean end (TERM, INT, HUP,
// PIPE) comes from outside. If a run exits with status 0 before it is ready, the result is "success" if systemd stopped it,
// and "protocol" otherwise. Without ExecStop= a stopped run with status 0 looks like a program that ends by itself, which
// must not be restarted in a busy loop, so requested returns false.
func (e Exit) requested(s Stop) bool {
	if s == Requested {
		return true
	}
	if e.Result != "success" || s == ByItself {
		return false
	}
	return e.Code == "killed" || e.Code == "" || e.HasExecStop
}

// Ended returns the state to keep after a run that has ended.
func Ended(s State, p Policy, e Exit, now time.Duration) State {
	if e.GaveUp {
		s.GaveUp = true
		return s
	}
	if s.GaveUp {
		s = State{} // this run was started by hand
	}
	if e.requested(s.Stop) {
		return State{}
	}
	if s.Started == 0 {
		// A launcher without root cannot record the start. Then the run began when the delay ended. If this is not known
		// either, the run is the first of a series.
		s.Started = now
		if s.Next > 0 {
			s.Started = min(s.Next, now)
		}
	}
	s = judge(s, p, now, false)
	s.Next = now + contract.Delay(s.Failures)
	s.Result, s.Status = e.Result, contract.Exit{Code: e.Code, Status: e.Status}.String()
	return s
}

func judge(s State, p Policy, now time.Duration, requested bool) State {
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

// maxFailures limits the counter. The delay reaches its maximum long before.
const maxFailures = 1 << 30
