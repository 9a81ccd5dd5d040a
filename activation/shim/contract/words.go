package contract

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LogPrefix begins each line that the shim writes to the journal.
const LogPrefix = "clusterctl-shim: "

// Environment variables that the shim sets for an instance.
const (
	InstanceVariable     = "INSTANCE"          // the number of the instance, from 1
	NodeInstanceVariable = "NODE_APP_INSTANCE" // the number of the instance, from 0, as in PM2
)

// Waiting describes how long the shim waits before it starts the program.
type Waiting struct {
	Delay     time.Duration
	ShortRuns int
	// Last describes how the last run ended: an exit such as "exited/7", or a value of
	// $SERVICE_RESULT.
	Last string
}

// String returns the text for STATUS=.
func (w Waiting) String() string {
	return fmt.Sprintf("waiting %s after %d short runs, the last with %s", w.Delay, w.ShortRuns, w.Last)
}

// ParseWaiting parses a text that Waiting.String returns.
func ParseWaiting(s string) (w Waiting, ok bool) {
	rest, ok := strings.CutPrefix(s, "waiting ")
	delay, rest, _ := strings.Cut(rest, " after ")
	runs, last, found := strings.Cut(rest, " short runs, the last with ")
	d, err := time.ParseDuration(delay)
	n, nerr := strconv.Atoi(runs)
	if !ok || !found || err != nil || nerr != nil {
		return Waiting{}, false
	}
	return Waiting{Delay: d, ShortRuns: n, Last: last}, true
}

// Exit describes how a process ended. Its fields hold variables that systemd passes to
// ExecStopPost=.
type Exit struct {
	Code   string // $EXIT_CODE: exited, killed or dumped; empty when no process was started
	Status string // $EXIT_STATUS: a number, or the name of a signal
}

// String returns "exited/1" or "killed/SEGV", and "" for the zero value.
func (e Exit) String() string {
	if e.Status == "" {
		return e.Code
	}
	return e.Code + "/" + e.Status
}

// ParseExit parses a text that Exit.String returns.
func ParseExit(s string) Exit {
	code, status, _ := strings.Cut(s, "/")
	return Exit{code, status}
}

// UnmarshalText parses a text that Exit.String returns.
func (e *Exit) UnmarshalText(text []byte) error {
	*e = ParseExit(string(text))
	return nil
}
