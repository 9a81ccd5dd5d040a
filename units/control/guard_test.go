package control

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestLimit: a unit is late only when systemd itself would have ended it, and never while it waits for its restart or has no
// timeout.
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
			t.Errorf("%+v: %v, want %v", one, got, c.want)
		}
	}
}

// TestQueued: a job that waits for other jobs is an error after a while, unless a unit of ours moves or the job is a reload.
func TestQueued(t *testing.T) {
	long := time.Now().Add(-2 * queueTime)
	waits := []State{{Unit: "shop@1.service", Active: Inactive, JobID: 7, changeMono: 5}}
	for _, c := range []struct {
		name   string
		g      guard
		states []State
		stuck  bool
	}{
		{"waits", guard{op: Start, moved: long, marks: []uint64{5}}, waits, true},
		{"reload", guard{op: Reload, moved: long, marks: []uint64{5}}, waits, false},
		{"first look", guard{op: Start, moved: long}, waits, false},
		{"moved", guard{op: Start, moved: long, marks: []uint64{4}}, waits, false},
		{"starts", guard{op: Start, moved: long, marks: []uint64{5}}, []State{{Active: Activating, JobID: 7, changeMono: 5}}, false},
		{"no job", guard{op: Start, moved: long, marks: []uint64{5}}, []State{{Active: Inactive, changeMono: 5}}, false},
	} {
		err := c.g.queued(c.states)
		var stuck *StuckError
		if errors.As(err, &stuck) != c.stuck {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestKilledInWords(t *testing.T) {
	k := Killed{Unit: "shop@1.service", Op: Stop, After: 75*time.Second + time.Millisecond}
	if got := k.String(); got != "shop@1: did not stop within 1m15s; killed (SIGKILL)" {
		t.Error(got)
	}
}

// TestGuardKills: it is not an error when a unit has ended before its SIGKILL. Any other failed kill ends the wait, and a
// failed look does not.
func TestGuardKills(t *testing.T) {
	late := []State{{Unit: "shop@1.service", Active: Deactivating, StopTimeout: time.Nanosecond, changeMono: 1}}
	denied := fmt.Errorf("sending SIGKILL to shop@1.service: %w", ErrPermission)
	for _, c := range []struct {
		name             string
		look, kill, want error
		killed           int
	}{
		{"killed", nil, nil, nil, 1},
		{"gone", nil, fmt.Errorf("sending SIGKILL to shop@1.service: %w", ErrNotFound), nil, 0},
		{"denied", nil, denied, denied, 0},
		{"no look", errors.New("no reply"), nil, nil, 0},
	} {
		var heard []Killed
		g := guard{
			states: func(context.Context, []string) ([]State, error) { return late, c.look },
			signal: func(context.Context, string, syscall.Signal) error { return c.kill },
			onKill: func(k Killed) { heard = append(heard, k) },
			op:     Stop, units: []string{"shop@1.service"}, killed: make(map[string]time.Time),
		}
		next, err := g.once(t.Context())
		if !errors.Is(err, c.want) || len(heard) != c.killed || len(g.killed) != c.killed || err == nil && next <= 0 {
			t.Errorf("%s: %v, next look in %v, killed %v", c.name, err, next, heard)
		}
	}
}

// TestStuck: an error of the guard replaces the error of the wait; an error of the parent context does not.
func TestStuck(t *testing.T) {
	wait, other := context.Canceled, errors.New("interrupted")
	for _, c := range []struct {
		name             string
		cause, err, want error
	}{
		{"a failed kill", &guardError{ErrPermission}, wait, ErrPermission},
		{"stuck", &guardError{&StuckError{Unit: "shop@1.service"}}, wait, &StuckError{}},
		{"the parent", other, wait, wait},
		{"the end", context.Canceled, wait, wait},
		{"the wait was over", &guardError{ErrPermission}, nil, nil},
	} {
		parent, cancelParent := context.WithCancelCause(t.Context())
		ctx, cancel := context.WithCancelCause(parent)
		if c.cause == other {
			cancelParent(c.cause)
		}
		cancel(c.cause)
		got := stuck(ctx, c.err)
		var unit *StuckError
		if errors.As(c.want, &unit) {
			if !errors.As(got, &unit) {
				t.Errorf("%s: %v", c.name, got)
			}
		} else if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		cancelParent(nil)
	}
}
