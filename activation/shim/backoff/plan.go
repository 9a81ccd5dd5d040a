package backoff

import (
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Stop says what ExecStop= has noted about the run.
type Stop uint8

// The notes. Unnoted also means that the run never became ready: systemd calls
// ExecStop= only for a service that has started.
const (
	Unnoted Stop = iota
	Asked        // the service manager stops a living service
	Alone        // the program ended by itself
)

// State is what is kept between the runs of one instance. Times are nanoseconds
// of CLOCK_BOOTTIME, which no change of the date moves.
type State struct {
	Failures int           // short runs in a row
	Started  time.Duration // when the present run began; 0: no run, or not noted
	Next     time.Duration // when the next run was due, after the end of the last one; 0 if not known
	Stop     Stop
	GaveUp   bool
	// Of the last run that ended by itself, for people:
	Uptime time.Duration
	Result string // $SERVICE_RESULT, or "unknown"
	Status string // $EXIT_CODE/$EXIT_STATUS, as "exited/1" or "killed/SEGV"
}

// Policy is what the flags say.
type Policy struct {
	MinUptime   time.Duration // a run of this length is not short
	MaxRestarts int           // give up behind this many restarts after short runs; negative: never
}

// Decision is what the launcher does.
type Decision struct {
	GiveUp bool
	Delay  time.Duration
}

// Plan is asked at each start. It returns the state to keep and the decision. A
// run that nobody judged (ExecStopPost= missing, or killed with everything else)
// is judged here, by the time since its start.
func Plan(s State, p Policy, now time.Duration) (State, Decision) {
	if s.GaveUp {
		s = State{Result: s.Result, Status: s.Status, Uptime: s.Uptime}
	}
	if s.Started > 0 {
		s = judge(s, p, now, s.Stop == Asked)
		s.Result, s.Status = "unknown", ""
	}
	if p.MaxRestarts >= 0 && s.Failures > p.MaxRestarts {
		s.GaveUp = true
		return s, Decision{GiveUp: true}
	}
	return s, Decision{Delay: contract.Delay(s.Failures)}
}

// Exit is the end of a run as systemd tells ExecStopPost=.
type Exit struct {
	Result string // $SERVICE_RESULT
	Code   string // $EXIT_CODE: exited, killed or dumped; empty when no process was started
	Status string // $EXIT_STATUS: a number or a signal's name
	// Noted says that the unit has an ExecStop= that calls Stopping, so a run
	// without a note was stopped before it was ready, or failed to become so.
	Noted bool
	// GaveUp says that the launcher ended because the instance has given up.
	GaveUp bool
}

// asked reports whether somebody wanted this end. A signal that systemd counts as
// a clean end (TERM, INT, HUP, PIPE) comes from outside. An exit with status 0 of
// a run that never became ready has the result "protocol" unless it was asked for;
// without ExecStop= it cannot be told from a program that just ends, and a
// program that just ends must not be restarted in a busy loop.
func (e Exit) asked(s Stop) bool {
	if s == Asked {
		return true
	}
	if e.Result != "success" || s == Alone {
		return false
	}
	return e.Code == "killed" || e.Code == "" || e.Noted
}

// Ended judges a run that has ended and returns the state to keep.
func Ended(s State, p Policy, e Exit, now time.Duration) State {
	if e.GaveUp {
		s.GaveUp = true
		return s
	}
	if s.GaveUp {
		s = State{} // a start by hand began this run
	}
	if e.asked(s.Stop) {
		return State{}
	}
	if s.Started == 0 {
		// A launcher has no right to note it. A run of which not even this is known is the first of a series in any case.
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

func judge(s State, p Policy, now time.Duration, asked bool) State {
	s.Uptime = max(now-s.Started, 0)
	s.Started, s.Stop = 0, Unnoted
	switch {
	case asked:
		s.Failures = 0
	case s.Uptime >= p.MinUptime:
		s.Failures = 1
	case s.Failures < maxFailures:
		s.Failures++
	}
	return s
}

// maxFailures bounds the counter; the delay has long been at its longest.
const maxFailures = 1 << 30
