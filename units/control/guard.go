package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// StuckError is the error of a unit that still runs after a SIGKILL, or whose job does not begin.
type StuckError struct {
	Unit string
	// Job reports whether the job waits for other jobs.
	Job   bool
	After time.Duration
}

func (e *StuckError) Error() string {
	if e.Job {
		return fmt.Sprintf("%s: its job has been waiting for other jobs for %v", e.Unit, e.After.Round(time.Second))
	}
	return fmt.Sprintf("%s: still running %v after SIGKILL", e.Unit, e.After.Round(time.Second))
}

// Hint returns what to type.
func (e *StuckError) Hint() string {
	if e.Job {
		return "systemctl list-jobs"
	}
	return "systemctl status " + e.Unit
}

const (
	// firstLook is when the guard first reads the states of the units. Most waits are over by then.
	firstLook = 5 * time.Second
	// overtime is how much longer than its timeouts a unit may take.
	overtime = 5 * time.Second
	// longestWait is the longest time for which the shim delays a program after short runs. The delay is part of the start.
	longestWait = 30 * time.Second
	// killTime is how long a unit may take to end after SIGKILL. The guard sends SIGKILL again each second.
	killTime = 10 * time.Second
	// queueTime is how long a job may wait while no unit changes its state.
	queueTime = 5 * time.Minute
)

// limit returns how long a unit may be in its present state; 0 means without limit. A stop has two parts, ExecStop= and the
// stop signal, and a start has two, ExecStartPre= and the program. Each part may take the whole timeout.
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

// guard bounds the wait for the jobs of some units until end is called. The caller must wait with the context that guard
// returns: guard cancels it with an error if a unit is stuck.
func (c *Conn) guard(ctx context.Context, op Op, units []string) (guarded context.Context, end func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g := guard{states: c.States, signal: c.Kill, onKill: c.reportKill, op: op, units: units, killed: make(map[string]time.Time)}
		if err := g.watch(guarded); err != nil {
			cancel(&guardError{err})
		}
	}()
	return guarded, func() { cancel(context.Canceled); <-done }
}

// guardError is the cause of a context that the guard has canceled, and not the parent of the context.
type guardError struct{ err error }

func (e *guardError) Error() string { return e.err.Error() }
func (e *guardError) Unwrap() error { return e.err }

// stuck returns the error of the guard if the guard has canceled ctx. Otherwise it returns err.
func stuck(ctx context.Context, err error) error {
	var ended *guardError
	if err != nil && errors.As(context.Cause(ctx), &ended) {
		return ended.err
	}
	return err
}

// guard watches the units of one wait.
type guard struct {
	// states and signal are methods of the connection. onKill is called for each unit that the guard kills.
	states func(context.Context, []string) ([]State, error)
	signal func(context.Context, string, syscall.Signal) error
	onKill func(Killed)
	op     Op
	units  []string
	// killed has the time of the first SIGKILL for each unit that got one.
	killed map[string]time.Time
	// moved is when the guard last found that a unit had changed its state. marks are the times of the last changes, one
	// for each unit.
	moved time.Time
	marks []uint64
}

func (g *guard) watch(ctx context.Context) error {
	g.moved = time.Now()
	for next := firstLook; ; {
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return nil
		}
		var err error
		if next, err = g.once(ctx); err != nil {
			return err
		}
	}
}

// once reads the states of the units and returns when to read them again. A failed call is ignored: the wait for the jobs
// continues.
func (g *guard) once(ctx context.Context) (time.Duration, error) {
	states, err := g.states(ctx, g.units)
	if err != nil {
		return firstLook, nil
	}
	return g.look(ctx, states)
}

// look kills units that take too long, and returns when to read the states again.
func (g *guard) look(ctx context.Context, states []State) (time.Duration, error) {
	if err := g.queued(states); err != nil {
		return 0, err
	}
	next := firstLook
	for _, s := range states {
		limit, age := s.limit(), s.age()
		switch since, killed := g.killed[s.Unit]; {
		case limit == 0:
			delete(g.killed, s.Unit)
		case age < limit:
			delete(g.killed, s.Unit)
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
	switch err := g.signal(ctx, s.Unit, syscall.SIGKILL); {
	case errors.Is(err, ErrNotFound):
		return nil // it has already ended
	case err != nil:
		return err
	}
	if again {
		return nil
	}
	g.killed[s.Unit] = time.Now()
	k := Killed{Unit: s.Unit, Op: Stop, After: s.age()}
	if s.Active == Activating {
		k.Op = Start
	}
	g.onKill(k)
	return nil
}

// queued returns an error if a job has been waiting for too long while no unit changed its state. A reload has no limit
// here: another process carries it out, and that process has its own guard.
func (g *guard) queued(states []State) error {
	var marks []uint64
	waits := -1
	busy := false
	for i, s := range states {
		marks = append(marks, s.changeMono)
		busy = busy || s.Active == Activating || s.Active == Deactivating
		if s.JobID != 0 && waits < 0 {
			waits = i
		}
	}
	same := len(marks) == len(g.marks)
	for i := 0; same && i < len(marks); i++ {
		same = marks[i] == g.marks[i]
	}
	if g.marks = marks; !same || busy || waits < 0 || g.op == Reload {
		g.moved = time.Now()
		return nil
	}
	if waited := time.Since(g.moved); waited > queueTime {
		return &StuckError{Unit: states[waits].Unit, Job: true, After: waited}
	}
	return nil
}

// age returns how long the unit has been in its present Active state.
func (s State) age() time.Duration {
	now := monotonic()
	if s.changeMono == 0 || s.changeMono > now {
		return 0
	}
	return time.Duration(now-s.changeMono) * time.Microsecond
}
