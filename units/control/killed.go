package control

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Killed is an instance that was killed with SIGKILL because it did not stop, or start, in time: by systemd, by the guard that
// the shim leaves behind at a stop, or by the guard of this package. The last is for a program that may speak to systemd and
// stretches its own stop without end (EXTEND_TIMEOUT_USEC=, sd_notify(3)).
type Killed struct {
	Unit string
	// Op is Stop or Start: what it did not do.
	Op Op
	// After is how long it took; 0 is unknown.
	After time.Duration
	// Signal is the stop signal that the program got that long before, or 0 where After is from the begin of the drain.
	Signal syscall.Signal
	// Status is what the worker said last of what it was doing (STATUS=), or empty.
	Status string
}

// Reason says why it was killed.
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

// KilledError is an instance that had to be killed at its stop. What it had in memory is lost.
type KilledError struct{ Killed Killed }

func (e *KilledError) Error() string { return e.Killed.String() }

// killedAtStop returns the instance that was killed in the stop that has led to s. before is what it was: a unit that had failed
// before says nothing about this stop.
func killedAtStop(before, s State) (Killed, bool) {
	ran := before.Up() || before.Active == Deactivating
	ended := s.Active == Deactivating || s.Active == Inactive || s.Active == ActiveFailed
	// exitMono is later than activeMono where the run never came up, so that it was a start which took too long.
	if !ran || !ended || s.activeMono < s.exitMono || s.ExecMainCode != cldKilled || s.ExecMainStatus != int(unix.SIGKILL) {
		return Killed{}, false
	}
	k := Killed{Unit: s.Unit, Op: Stop, Signal: syscall.Signal(s.StopSignal), Status: before.StatusText}
	if s.Result == "timeout" {
		k.After = s.StopTimeout
	}
	return k, s.Result == "timeout" || s.Result == "signal"
}

// tell reports a killed unit to who asked by OnKill.
func (c *Conn) tell(k Killed) {
	if c.onKill != nil {
		c.onKill(k)
	}
}

// OnKill sets what hears of each unit that is killed, from any goroutine; before the connection is used. It may hear of one more
// than once.
func (c *Conn) OnKill(f func(Killed)) { c.onKill = f }
