package control

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Killed describes an instance that was killed with SIGKILL because it did not stop or start in time. systemd may have
// killed it, or the guard that the shim leaves behind at a stop, or the guard of this package. The guard of this package is
// for a program that may talk to systemd and extends its own stop without end (EXTEND_TIMEOUT_USEC=, sd_notify(3)).
type Killed struct {
	Unit string
	// Op is what the instance did not do in time: Stop or Start.
	Op Op
	// After is how long the stop or start took; 0 means unknown.
	After time.Duration
	// Signal is the stop signal that the program had got that long before the kill. It is 0 if After counts from the start
	// of the drain.
	Signal syscall.Signal
	// Status is the last STATUS= of the worker, or empty.
	Status string
}

// Reason returns why the instance was killed, in words.
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

// KilledError is the error of an instance that was killed because it did not stop. The data in its memory is lost.
type KilledError struct{ Killed Killed }

func (e *KilledError) Error() string { return e.Killed.String() }

// killedAtStop returns a Killed, and true if the stop that led to the state s ended with a SIGKILL. before is the state
// before the stop: if the unit had already failed, s shows nothing about this stop.
func killedAtStop(before, s State) (Killed, bool) {
	ran := before.Up() || before.Active == Deactivating
	ended := s.Active == Deactivating || s.Active == Inactive || s.Active == ActiveFailed
	// If exitMono is later than activeMono, the run never came up, and its start took too long.
	if !ran || !ended || s.activeMono < s.exitMono || s.ExecMainCode != cldKilled || s.ExecMainStatus != int(unix.SIGKILL) {
		return Killed{}, false
	}
	k := Killed{Unit: s.Unit, Op: Stop, Signal: syscall.Signal(s.StopSignal), Status: before.StatusText}
	if s.Result == "timeout" {
		k.After = s.StopTimeout
	}
	return k, s.Result == "timeout" || s.Result == "signal"
}

// reportKill calls the function that OnKill has set.
func (c *Conn) reportKill(k Killed) {
	if c.onKill != nil {
		c.onKill(k)
	}
}

// OnKill sets the function that is called for each killed unit, from any goroutine. It must be called before the connection
// is used. A kill may be reported more than once.
func (c *Conn) OnKill(f func(Killed)) { c.onKill = f }
