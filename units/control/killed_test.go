package control

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilledAtStop checks that an instance counts as killed only if it was up before its stop and the stop ended with
// SIGKILL.
func TestKilledAtStop(t *testing.T) {
	before := State{Unit: "shop@1.service", Active: ActiveRunning, activeMono: 20, exitMono: 10, StatusText: "saving"}
	after := State{
		Unit: "shop@1.service", Active: ActiveFailed, Result: "timeout", activeMono: 20, exitMono: 10, StopTimeout: 90 * time.Second,
		StopSignal: int(syscall.SIGTERM), ExecMainCode: cldKilled, ExecMainStatus: int(syscall.SIGKILL),
	}
	for _, c := range []struct {
		name   string
		change func(before, after *State)
		want   string
	}{
		{"killed by systemd", func(*State, *State) {},
			`shop@1: did not stop within 1m30s after SIGTERM; killed (SIGKILL); its status was "saving"`},
		{"killed, still stopping", func(_, s *State) { s.Active = Deactivating }, "did not stop within 1m30s"},
		{"killed by a guard", func(b, s *State) { s.Result, b.Active = "signal", Deactivating },
			"did not end by itself after SIGTERM; killed (SIGKILL)"},
		{"it ended by itself", func(_, s *State) { s.ExecMainStatus = int(syscall.SIGTERM) }, ""},
		{"its drain timed out, it ended by itself", func(_, s *State) { s.ExecMainCode, s.ExecMainStatus = cldExited, 0 }, ""},
		{"it was down before", func(b, _ *State) { b.Active = ActiveFailed }, ""},
		{"its start took too long", func(_, s *State) { s.exitMono = 30 }, ""},
		{"out of memory", func(_, s *State) { s.Result = "oom-kill" }, ""},
		{"it runs again", func(_, s *State) { s.Active = ActiveRunning }, ""},
	} {
		b, s := before, after
		c.change(&b, &s)
		k, killed := killedAtStop(b, s)
		if killed != (c.want != "") || killed && !strings.Contains(k.String(), c.want) {
			t.Errorf("%s: got %v, %v, want %q", c.name, k, killed, c.want)
		}
	}
}
