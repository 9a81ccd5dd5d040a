package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Op is what a job does to a unit.
type Op int

// The jobs of systemctl(1) by the same names.
const (
	Start Op = iota
	Stop
	Restart
	// TryRestart restarts a unit that runs and leaves another as it is.
	TryRestart
	// Reload runs ExecReload=.
	Reload
)

func (o Op) String() string {
	return [...]string{"start", "stop", "restart", "try-restart", "reload"}[o]
}

func (o Op) method() string {
	return manager + [...]string{".StartUnit", ".StopUnit", ".RestartUnit", ".TryRestartUnit", ".ReloadUnit"}[o]
}

// Mode says what happens to a job that is queued already and wants something else (systemctl(1), --job-mode=).
type Mode int

const (
	// Replace cancels it.
	Replace Mode = iota
	// Fail leaves it alone; ours is refused with [ErrConflict].
	Fail
	// Alone is for the one unit, whatever depends on it or comes before it: a stop of the aggregate stops no instance.
	Alone
)

func (m Mode) String() string { return [...]string{"replace", "fail", "ignore-dependencies"}[m] }

// Result is how a job ended.
type Result int

// The results of systemd's jobs (org.freedesktop.systemd1(5), JobRemoved).
const (
	// NoResult: no job was queued, or none has ended.
	NoResult Result = iota
	// Done: for a start, the unit was up at that moment, or a condition kept it down; look at its state for both.
	Done
	// Failed: for an instance with Restart=always this is the end of the first try; systemd goes on trying.
	Failed
	// Timeout: JobTimeoutSec= of the unit passed.
	Timeout
	// Canceled: another job took its place.
	Canceled
	// Dependency: a unit that this one requires did not start.
	Dependency
	// Skipped: the operation does not apply to the unit as it is.
	Skipped
	// Invalid, Assert, Unsupported, Collected, Once: the rare ones; Other: one that is newer than this code.
	Invalid
	Assert
	Unsupported
	Collected
	Once
	Other
)

var resultWords = [...]string{"none", "done", "failed", "timeout", "canceled", "dependency", "skipped", "invalid", "assert",
	"unsupported", "collected", "once", "other"}

func (r Result) String() string { return resultWords[r] }

func parseResult(s string) Result {
	for r := Done; r < Other; r++ {
		if resultWords[r] == s {
			return r
		}
	}
	return Other
}

// Outcome is what became of one unit's job.
type Outcome struct {
	Unit   string
	Result Result
	// Err says why no job was queued ([ErrNotFound], [ErrMasked], [ErrConflict], …); Result is NoResult then.
	Err error
}

// JobError is a job that did not end well.
type JobError struct {
	Unit   string
	Op     Op
	Result Result
	// Reason is what the unit's state says, or empty.
	Reason string
}

func (e *JobError) Error() string {
	text := map[Result]string{
		Failed: "failed", Timeout: "took too long", Canceled: "was canceled by another job",
		Dependency: "failed with a unit that it requires",
		Skipped:    "does not apply", Assert: "failed by an assertion of the unit",
	}[e.Result]
	if text == "" {
		text = "ended with " + e.Result.String()
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return fmt.Sprintf("%s of %s %s", e.Op, e.Unit, text)
}

// RefusedError is a job that was not even queued.
type RefusedError struct {
	Unit string
	Op   Op
	// Job is the job of somebody else that stands in the way, for [ErrConflict], where it was still there to be seen.
	Job string
	Err error
}

func (e *RefusedError) Error() string {
	if e.Job != "" {
		return fmt.Sprintf("%s of %s: somebody else has queued a %s of it, which is left to end", e.Op, e.Unit, e.Job)
	}
	return fmt.Sprintf("%s of %s: %v", e.Op, e.Unit, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Do queues one job for each unit and returns when all jobs have ended, with the outcomes in the order of the units. The error
// concerns all units: an ended context, a missing permission, a lost connection. When the context ends, the jobs go on. A unit
// that takes longer than its timeouts is killed, see [Killed].
func (c *Conn) Do(ctx context.Context, op Op, mode Mode, units ...string) ([]Outcome, error) {
	var before []State
	instances := slices.DeleteFunc(slices.Clone(units), func(u string) bool { return !strings.Contains(u, "@") })
	if op == Stop {
		var err error
		if before, err = c.States(ctx, instances); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", op, summary(units), err)
		}
	}
	w := newWait(op, mode, units)
	guarded, end := c.guard(ctx, op, units)
	defer end()
	if err := c.await(guarded, w); err != nil {
		return w.out, fmt.Errorf("%s of %s: %w", op, summary(units), stuck(guarded, err))
	}
	if op == Stop {
		c.tellKilled(ctx, before)
	}
	return w.out, nil
}

// tellKilled reports the units that were killed since that look. systemd keeps how a run ended until the next start.
func (c *Conn) tellKilled(ctx context.Context, before []State) {
	var units []string
	for _, s := range before {
		units = append(units, s.Unit)
	}
	now, err := c.States(ctx, units)
	for i := range now {
		if k, killed := killedAtStop(before[i], now[i]); killed && err == nil {
			c.tell(k)
		}
	}
}

// summary names units in an error without filling the screen.
func summary(units []string) string {
	if len(units) > 3 {
		return fmt.Sprintf("%s and %d more units", units[0], len(units)-1)
	}
	return strings.Join(units, ", ")
}
