package control

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestLimit checks that the limit of a unit is longer than its timeouts in systemd. A unit has no limit while it waits for
// its restart, or if it has no timeout.
func TestLimit(t *testing.T) {
	s := State{Unit: "shop@1.service", StartTimeout: 10 * time.Second, StopTimeout: 20 * time.Second}
	for _, c := range []struct {
		change func(*State)
		want   time.Duration
	}{
		{func(s *State) { s.Active = Deactivating }, 45 * time.Second},
		{func(s *State) { s.Active = Activating }, 55 * time.Second},
		{func(s *State) { s.Active, s.Sub = Activating, "auto-restart" }, 0},
		{func(s *State) { s.Active = ActiveRunning }, 0},
		{func(s *State) { s.Active, s.StopTimeout = Deactivating, 0 }, 0},
		{func(s *State) { s.Active, s.StartTimeout = Activating, 0 }, 0},
		{func(s *State) { s.Unit, s.Active = "shop.socket", Deactivating }, 0},
	} {
		one := s
		c.change(&one)
		if got := one.limit(); got != c.want {
			t.Errorf("%+v: got %v, want %v", one, got, c.want)
		}
	}
}

// TestCheckJobs checks that checkJobs returns an error for a job that waits for too long, unless a unit changes its state or
// the job is a reload.
func TestCheckJobs(t *testing.T) {
	long := time.Now().Add(-2 * queueTime)
	waits := []State{{Unit: "shop@1.service", Active: Inactive, JobID: 7, changeMono: 5}}
	for _, c := range []struct {
		name   string
		g      guard
		states []State
		stuck  bool
	}{
		{"the job waits", guard{lastChange: long, changes: []uint64{5}}, waits, true},
		{"reload", guard{op: Reload, lastChange: long, changes: []uint64{5}}, waits, false},
		{"first check", guard{lastChange: long}, waits, false},
		{"a unit has changed", guard{lastChange: long, changes: []uint64{4}}, waits, false},
		{"a unit starts", guard{lastChange: long, changes: []uint64{5}},
			[]State{{Active: Activating, JobID: 7, changeMono: 5}}, false},
		{"no job", guard{lastChange: long, changes: []uint64{5}}, []State{{Active: Inactive, changeMono: 5}}, false},
	} {
		err := c.g.checkJobs(c.states)
		var stuck *StuckError
		if errors.As(err, &stuck) != c.stuck {
			t.Errorf("%s: got error %v, want a StuckError: %v", c.name, err, c.stuck)
		}
	}
}

func TestKilledString(t *testing.T) {
	k := Killed{Unit: "shop@1.service", Op: Stop, After: 75*time.Second + time.Millisecond}
	if got := k.String(); got != "shop@1: did not stop within 1m15s; killed (SIGKILL)" {
		t.Error(got)
	}
}

// TestGuardKills checks what the guard does if it cannot kill a unit. A unit that has already ended is ignored. Any other
// failed kill ends the wait. If the states cannot be read, the wait continues.
func TestGuardKills(t *testing.T) {
	late := []State{{Unit: "shop@1.service", Active: Deactivating, StopTimeout: time.Nanosecond, changeMono: 1}}
	denied := fmt.Errorf("sending SIGKILL to shop@1.service: %w", ErrPermission)
	for _, c := range []struct {
		name             string
		read, kill, want error
		killed           int
	}{
		{"killed", nil, nil, nil, 1},
		{"already ended", nil, fmt.Errorf("sending SIGKILL to shop@1.service: %w", ErrNotFound), nil, 0},
		{"denied", nil, denied, denied, 0},
		{"unreadable states", errors.New("no reply"), nil, nil, 0},
	} {
		var killed []Killed
		g := guard{
			states: func(context.Context, []string) ([]State, error) { return late, c.read },
			signal: func(context.Context, string, syscall.Signal) error { return c.kill },
			onKill: func(k Killed) { killed = append(killed, k) },
			op:     Stop, units: []string{"shop@1.service"}, killTimes: make(map[string]time.Time),
		}
		next, err := g.check(t.Context())
		if !errors.Is(err, c.want) || len(killed) != c.killed || len(g.killTimes) != c.killed || err == nil && next <= 0 {
			t.Errorf("%s: got error %v, want %v; next check in %v, killed %v, want %d kills", c.name, err, c.want, next, killed, c.killed)
		}
	}
}

// TestGuardCause checks that guardCause returns the error of the guard if the guard has canceled the context. If the parent
// context has ended, guardCause returns the error of the wait.
func TestGuardCause(t *testing.T) {
	wait, other := context.Canceled, errors.New("interrupted")
	for _, c := range []struct {
		name             string
		cause, err, want error
	}{
		{"a failed kill", &guardError{ErrPermission}, wait, ErrPermission},
		{"a stuck unit", &guardError{&StuckError{Unit: "shop@1.service"}}, wait, &StuckError{}},
		{"the parent has ended", other, wait, wait},
		{"the caller has ended the guard", context.Canceled, wait, wait},
		{"the wait has succeeded", &guardError{ErrPermission}, nil, nil},
	} {
		parent, cancelParent := context.WithCancelCause(t.Context())
		ctx, cancel := context.WithCancelCause(parent)
		if c.cause == other {
			cancelParent(c.cause)
		}
		cancel(c.cause)
		got := guardCause(ctx, c.err)
		var unit *StuckError
		if errors.As(c.want, &unit) {
			if !errors.As(got, &unit) {
				t.Errorf("%s: got %v, want a StuckError", c.name, got)
			}
		} else if got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		cancelParent(nil)
	}
}
