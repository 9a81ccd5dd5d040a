package control

import (
	"errors"
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
