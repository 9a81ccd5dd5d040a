package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// StuckError is the error for a unit that still runs after a SIGKILL, or whose job waits for too long.
type StuckError struct {
	Unit string
	// Job is true if the job waits for other jobs, and false if the unit still runs.
	Job   bool
	After time.Duration
}

func (e *StuckError) Error() string {
	if e.Job {
		return fmt.Sprintf("%s: its job has been waiting for other jobs for %v", e.Unit, e.After.Round(time.Second))
	}
	return fmt.Sprintf("%s: still running %v after SIGKILL", e.Unit, e.After.Round(time.Second))
}

func (e *StuckError) Hint() string {
	if e.Job {
		return "systemctl list-jobs"
	}
	return "systemctl status " + e.Unit
}

const (
	// firstCheck is the time from the start of a wait until the guard first reads the states of the units. Most jobs end
	// earlier.
	firstCheck = 5 * time.Second
	// overtime is the time for which a unit may exceed its timeouts before the guard kills it.
	overtime = 5 * time.Second
	// longestWait is the longest time for which the shim delays the start of a program after short runs.
	longestWait = 30 * time.Second
	// killTime is the time in which a unit must end after SIGKILL. The guard sends SIGKILL again each second.
	killTime = 10 * time.Second
	// queueTime is the time for which a job may wait while no unit changes its state.
	queueTime = 5 * time.Minute
)

// The function limit returns how long a unit may stay in its current state; 0 means no limit. A stop consists of ExecStop=
// and the stop signal, and a start consists of ExecStartPre= and the program. Each step may take the whole timeout.
func (s State) limit() time.Duration {
	switch {
	case !strings.HasSuffix(s.Unit, ".service") || s.WaitsForRestart():
	case s.Active == Deactivating && s.StopTimeout > 0:
		return 2*s.StopTimeout + overtime
	case s.Active == Activating && s.StartTimeout > 0:
		return 2*s.StartTimeout + longestWait + overtime
	}
	return 0
}

// The method guard starts a goroutine that limits the wait for the jobs of some units. The caller must wait with the
// returned context, and call the returned function after the wait. If a unit is stuck, the guard cancels the context with an
// error.
func (c *Conn) guard(ctx context.Context, op Op, units []string) (guarded context.Context, end func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g := guard{states: c.States, signal: c.Kill, onKill: c.reportKill, op: op, units: units, killTimes: make(map[string]time.Time)}
		if err := g.run(guarded); err != nil {
			cancel(&guardError{err})
		}
	}()
	return guarded, func() { cancel(context.Canceled); <-done }
}

// guardError is the cause of a context that a guard has canceled. If the parent has canceled the context, the cause is a
// different error.
type guardError struct{ err error }

func (e *guardError) Error() string { return e.err.Error() }
func (e *guardError) Unwrap() error { return e.err }

// guardCause returns the error of the guard if the guard has canceled ctx. Otherwise guardCause returns err.
func guardCause(ctx context.Context, err error) error {
	var ended *guardError
	if err != nil && errors.As(context.Cause(ctx), &ended) {
		return ended.err
	}
	return err
}

type guard struct {
	// The fields states and signal hold methods of Conn. onKill is called for each unit that the guard kills.
	states func(context.Context, []string) ([]State, error)
	signal func(context.Context, string, syscall.Signal) error
	onKill func(Killed)
	op     Op
	units  []string
	// The map killTimes has the time of the first SIGKILL of each unit.
	killTimes map[string]time.Time
	// The map changes has the time of the last state change of each unit. lastChange is the time of the last check that
	// found a change of a state.
	changes    []uint64
	lastChange time.Time
}

func (g *guard) run(ctx context.Context) error {
	g.lastChange = time.Now()
	for next := firstCheck; ; {
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return nil
		}
		var err error
		if next, err = g.check(ctx); err != nil {
			return err
		}
	}
}

// The method check kills units that exceed their limits, and returns the time until the next check. If the states cannot be
// read, the wait for the jobs continues, and the next check tries again.
func (g *guard) check(ctx context.Context) (time.Duration, error) {
	states, err := g.states(ctx, g.units)
	if err != nil {
		return firstCheck, nil
	}
	if err := g.checkJobs(states); err != nil {
		return 0, err
	}
	next := firstCheck
	for _, s := range states {
		limit, age := s.limit(), s.age()
		switch since, killed := g.killTimes[s.Unit]; {
		case limit == 0:
			delete(g.killTimes, s.Unit)
		case age < limit:
			delete(g.killTimes, s.Unit)
			next = min(next, limit-age)
		case killed && time.Since(since) > killTime:
			return 0, &StuckError{Unit: s.Unit, After: time.Since(since)}
		default:
			if err := g.kill(ctx, s, killed); err != nil {
				return 0, err
			}
			next = min(next, time.Second)
		}
	}
	return next, nil
}

func (g *guard) kill(ctx context.Context, s State, again bool) error {
	err := g.signal(ctx, s.Unit, syscall.SIGKILL)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil // the unit has already ended
	case err != nil || again:
		return err
	}
	g.killTimes[s.Unit] = time.Now()
	k := Killed{Unit: s.Unit, Op: Stop, After: s.age()}
	if s.Active == Activating {
		k.Op = Start
	}
	g.onKill(k)
	return nil
}

// checkJobs returns an error if a job has waited longer than queueTime while no unit changed its state. checkJobs does not
// limit a job that reloads the app, because the command that this job runs has its own guard.
func (g *guard) checkJobs(states []State) error {
	var changes []uint64
	waiting := slices.IndexFunc(states, func(s State) bool { return s.JobID != 0 })
	busy := false
	for _, s := range states {
		changes = append(changes, s.changeMono)
		busy = busy || s.Active == Activating || s.Active == Deactivating
	}
	same := slices.Equal(changes, g.changes)
	if g.changes = changes; !same || busy || waiting < 0 || g.op == Reload {
		g.lastChange = time.Now()
		return nil
	}
	if waited := time.Since(g.lastChange); waited > queueTime {
		return &StuckError{Unit: states[waiting].Unit, Job: true, After: waited}
	}
	return nil
}

// The function age returns the time since the unit entered its current Active state.
func (s State) age() time.Duration {
	now := monotonicMicros()
	if s.changeMono == 0 || s.changeMono > now {
		return 0
	}
	return time.Duration(now-s.changeMono) * time.Microsecond
}

// Killed describes an instance that was killed with SIGKILL because it did not stop or start in time. The SIGKILL came from
// systemd, from a process that the shim starts for this purpose at a stop, or from the guard of this package. The guard is
// needed for a program that extends its own timeout forever (EXTEND_TIMEOUT_USEC=, sd_notify(3)).
type Killed struct {
	Unit string
	// Op is the operation that took too long: Stop or Start.
	Op Op
	// After is the time that the stop or start had taken before the SIGKILL; 0 means unknown.
	After time.Duration
	// If After counts from the stop signal, Signal is this signal. If After counts from the start of the drain, Signal is 0.
	Signal syscall.Signal
	// Status is the last STATUS= of the worker. Status may be empty.
	Status string
}

// Reason returns a sentence about the kill, without the name of the unit.
func (k Killed) Reason() string {
	text := fmt.Sprintf("did not %s within %v", k.Op, k.After.Round(time.Millisecond))
	switch {
	case k.After == 0:
		text = "did not end by itself"
	case k.After >= 10*time.Second:
		text = fmt.Sprintf("did not %s within %v", k.Op, k.After.Round(time.Second))
	}
	if k.Signal != 0 {
		text += " after " + cmp.Or(unix.SignalName(k.Signal), "its stop signal")
	}
	text += "; killed (SIGKILL)"
	if k.Status != "" {
		text += fmt.Sprintf("; its status was %q", k.Status)
	}
	return text
}

func (k Killed) String() string { return strings.TrimSuffix(k.Unit, ".service") + ": " + k.Reason() }

// KilledError is the error for an instance that was killed because it did not stop. The program could not save its data.
type KilledError struct{ Killed Killed }

func (e *KilledError) Error() string { return e.Killed.String() }

// killedAtStop returns a description of a kill, and true if the last stop of the unit ended with SIGKILL. The parameter
// before is the state of the unit before the stop, and s is the state during or after the stop. If the unit had already
// failed before the stop, s describes the earlier failure, and killedAtStop returns false.
func killedAtStop(before, s State) (Killed, bool) {
	ran := before.Up() || before.Active == Deactivating
	ended := s.Active == Deactivating || s.Active == Inactive || s.Active == ActiveFailed
	// If exitMono is later than activeMono, the unit was not up in this run, and its start took too long.
	if !ran || !ended || s.activeMono < s.exitMono || s.ExecMainCode != cldKilled || s.ExecMainStatus != int(unix.SIGKILL) {
		return Killed{}, false
	}
	k := Killed{Unit: s.Unit, Op: Stop, Signal: syscall.Signal(s.StopSignal), Status: before.StatusText}
	if s.Result == "timeout" {
		k.After = s.StopTimeout
	}
	return k, s.Result == "timeout" || s.Result == "signal"
}

func (c *Conn) reportKill(k Killed) {
	if c.onKill != nil {
		c.onKill(k)
	}
}

// OnKill sets the function that is called for each killed unit, from any goroutine. OnKill must be called before the first
// job is queued. The function may be called more than once for the same kill.
func (c *Conn) OnKill(f func(Killed)) { c.onKill = f }
