package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// StuckError is a unit that is not where it should be after a SIGKILL, or whose job does not begin.
type StuckError struct {
	Unit string
	// Job: the job waits for other jobs.
	Job   bool
	After time.Duration
}

func (e *StuckError) Error() string {
	if e.Job {
		return fmt.Sprintf("%s: its job has been waiting for other jobs for %v", e.Unit, e.After.Round(time.Second))
	}
	return fmt.Sprintf("%s: still running %v after SIGKILL", e.Unit, e.After.Round(time.Second))
}

// Hint is what to type.
func (e *StuckError) Hint() string {
	if e.Job {
		return "systemctl list-jobs"
	}
	return "systemctl status " + e.Unit
}

const (
	// firstLook is when a wait is looked at for the first time: most are over by then.
	firstLook = 5 * time.Second
	// overtime is what systemd may need beyond the timeouts of a unit.
	overtime = 5 * time.Second
	// longestWait is how long the shim holds a program back after short runs, which is part of the start.
	longestWait = 30 * time.Second
	// killTime is how long a unit may take to end after SIGKILL, which is sent again each second.
	killTime = 10 * time.Second
	// queueTime is how long no unit may move while its job waits.
	queueTime = 5 * time.Minute
)

// limit is how long a unit may be in its present state; 0 is without limit. A stop has two parts, ExecStop= and the stop
// signal, and a start has two, ExecStartPre= and the program. Each part may take the whole timeout.
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

// guard bounds the wait for the jobs of some units, which goes on with the context that it returns, until end is called.
func (c *Conn) guard(ctx context.Context, op Op, units []string) (guarded context.Context, end func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g := guard{states: c.States, signal: c.Kill, onKill: c.tell, op: op, units: units, killed: make(map[string]time.Time)}
		if err := g.watch(guarded); err != nil {
			cancel(&guardError{err})
		}
	}()
	return guarded, func() { cancel(context.Canceled); <-done }
}

// guardError is the cause of a context that a guard has ended, and not its parent.
type guardError struct{ err error }

func (e *guardError) Error() string { return e.err.Error() }
func (e *guardError) Unwrap() error { return e.err }

// stuck is the error of the guard where it has ended the wait, else err.
func stuck(ctx context.Context, err error) error {
	var ended *guardError
	if err != nil && errors.As(context.Cause(ctx), &ended) {
		return ended.err
	}
	return err
}

// guard is one wait.
type guard struct {
	// states and signal are methods of the connection; onKill hears of each unit that is killed.
	states func(context.Context, []string) ([]State, error)
	signal func(context.Context, string, syscall.Signal) error
	onKill func(Killed)
	op     Op
	units  []string
	// killed are the units to which SIGKILL was sent, and since when.
	killed map[string]time.Time
	// moved is when a unit was last seen in another state than before, and marks are those states.
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

// once looks at the units and returns when to look again. A failed look is ignored: the wait for the jobs goes on.
func (g *guard) once(ctx context.Context) (time.Duration, error) {
	states, err := g.states(ctx, g.units)
	if err != nil {
		return firstLook, nil
	}
	return g.look(ctx, states)
}

// look kills what is late, and returns when to look again.
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
		return nil // it has ended meanwhile
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

// queued returns the error of a job that waits while none of our units does anything. A reload has no limit here: another
// process carries it out, and that process has its own guard.
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

// age is how long the unit has been active, deactivating, or whatever it is.
func (s State) age() time.Duration {
	now := monotonic()
	if s.changeMono == 0 || s.changeMono > now {
		return 0
	}
	return time.Duration(now-s.changeMono) * time.Microsecond
}
