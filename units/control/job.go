package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Op is the operation of a job on a unit.
type Op int

// The operations are commands of systemctl(1).
const (
	Start Op = iota
	Stop
	Restart
	// TryRestart restarts a unit that is running. TryRestart does nothing to a stopped unit.
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

// Mode selects what systemd does with a queued job that conflicts with the new job (systemctl(1), --job-mode=).
type Mode int

const (
	// Replace cancels the queued job.
	Replace Mode = iota
	// Fail keeps the queued job. The new job is refused with [ErrConflict].
	Fail
	// IgnoreDependencies queues a job for this unit only. For example, a stop of the aggregate does not stop the instances.
	IgnoreDependencies
)

func (m Mode) String() string { return [...]string{"replace", "fail", "ignore-dependencies"}[m] }

// Result is the result of a job, as systemd writes it (org.freedesktop.systemd1(5), JobRemoved).
type Result string

// These are the results that this program distinguishes.
const (
	// NoResult means that no job was queued, or that the job has not ended.
	NoResult Result = ""
	// Done means that the job succeeded. After a start job with this result, either the unit was up at that moment or its
	// condition was not met.
	Done Result = "done"
	// Failed means that the job failed. If the unit has Restart=always, systemd starts it again.
	Failed Result = "failed"
	// Timeout means that the job took longer than JobTimeoutSec= of the unit.
	Timeout Result = "timeout"
	// Canceled means that another job replaced this job.
	Canceled Result = "canceled"
	// Dependency means that a required unit did not start.
	Dependency Result = "dependency"
	// Skipped means that the operation does not apply to the unit in its current state.
	Skipped Result = "skipped"
	// Assert means that an Assert…= setting of the unit was not met.
	Assert Result = "assert"
)

// Outcome is the result of the job of one unit.
type Outcome struct {
	Unit   string
	Result Result
	// Err is the error if no job was queued: [ErrNotFound], [ErrMasked], [ErrConflict], … In this case, Result is NoResult.
	Err error
}

// JobError is the error for a job that was queued and did not succeed.
type JobError struct {
	Unit   string
	Op     Op
	Result Result
	// Reason explains the state of the unit after the job. Reason may be empty.
	Reason string
}

func (e *JobError) Error() string {
	text := map[Result]string{
		Failed: "failed", Timeout: "took too long", Canceled: "was canceled by another job",
		Dependency: "failed because a required unit failed",
		Skipped:    "does not apply", Assert: "failed an assertion of the unit",
	}[e.Result]
	if text == "" {
		text = "ended with " + string(e.Result)
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return fmt.Sprintf("%s of %s %s", e.Op, e.Unit, text)
}

// RefusedError is the error for a job that systemd did not queue.
type RefusedError struct {
	Unit string
	Op   Op
	// Job is the type of the conflicting job, if Err is [ErrConflict]. Job is empty if that job ended before its type was
	// read.
	Job string
	Err error
}

func (e *RefusedError) Error() string {
	if e.Job != "" {
		return fmt.Sprintf("%s of %s: another command has queued a %s, which clusterctl does not cancel", e.Op, e.Unit, e.Job)
	}
	return fmt.Sprintf("%s of %s: %v", e.Op, e.Unit, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Hint returns how to make systemd accept the job, or "".
func (e *RefusedError) Hint() string {
	switch {
	case errors.Is(e.Err, ErrMasked):
		return "sudo systemctl unmask " + e.Unit
	case errors.Is(e.Err, ErrConflict):
		return "systemctl list-jobs shows the other job; try again when it has ended"
	}
	return ""
}

// Do queues one job for each unit and returns when all jobs have ended. The outcomes are in the order of the units.
// [Conn.Do] returns an error if the context ends, the caller has no permission, or the connection is lost. When the context
// ends, the jobs continue. [Conn.Do] kills units that exceed their timeouts; see [Killed].
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
		return w.out, fmt.Errorf("%s of %s: %w", op, summary(units), guardCause(guarded, err))
	}
	if op == Stop {
		c.reportKilled(ctx, before)
	}
	return w.out, nil
}

// reportKilled reports the units that were killed after the caller had read the states in the parameter before. systemd
// keeps the result of a run until the next start, so the current states show the kills.
func (c *Conn) reportKilled(ctx context.Context, before []State) {
	var units []string
	for _, s := range before {
		units = append(units, s.Unit)
	}
	now, err := c.States(ctx, units)
	for i := range now {
		if k, killed := killedAtStop(before[i], now[i]); killed && err == nil {
			c.reportKill(k)
		}
	}
}

// summary returns the names of the units. If there are more than three, summary returns the first name and a count, because
// errors must be short.
func summary(units []string) string {
	if len(units) > 3 {
		return fmt.Sprintf("%s and %d more units", units[0], len(units)-1)
	}
	return strings.Join(units, ", ")
}
