package manage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Outcome is the result of an install, apply or rollback for one app, as --json prints it (schema 1).
type Outcome struct {
	Name   units.Name `json:"name"`
	Action Action     `json:"action"`
	// Changed has the files that were written or removed.
	Changed []string `json:"changed"`
	// Instances has a result for each instance that was started, replaced or stopped.
	Instances []InstanceResult `json:"instances"`
	// Stopped is set if the app was stopped before the command and is still stopped.
	Stopped bool `json:"stopped,omitempty"`
	// RunState is nil if instances were started, replaced or stopped.
	*RunState
	Error string `json:"error,omitempty"`
}

// Action is the kind of change of an app.
type Action string

// The actions.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	Failed    Action = "failed"
)

// RunState is the state of an app whose instances were not changed.
type RunState struct {
	State  string `json:"state"`
	Ready  int    `json:"ready"`
	Wanted int    `json:"wanted"`
	// NewerFiles has the files that have changed since an instance started. The instance has not read the changes, because
	// it reads these files only at its start.
	NewerFiles []string `json:"newerFiles,omitempty"`
}

// FailedOutcome returns the outcome of an app that was not changed because of the error err.
func FailedOutcome(n units.Name, err error) Outcome { return Outcome{Name: n}.withDefaults(err) }

// withDefaults returns the outcome with defaults for empty fields and with the text of err.
func (o Outcome) withDefaults(err error) Outcome {
	if o.Action == "" {
		o.Action = Failed
	}
	if o.Changed == nil {
		o.Changed = []string{}
	}
	if o.Instances == nil {
		o.Instances = []InstanceResult{}
	}
	if err != nil {
		o.Error = err.Error()
	}
	return o
}

// Newer returns the field NewerFiles of the RunState, or nil if there is no RunState.
func (o Outcome) Newer() []string {
	if o.RunState == nil {
		return nil
	}
	return o.NewerFiles
}

// String returns the outcome in one line.
func (o Outcome) String() string {
	text := fmt.Sprintf("%s: %s", o.Name, o.Action)
	if len(o.Changed) > 0 && o.Action == Updated {
		var files []string
		for _, path := range o.Changed {
			files = append(files, filepath.Base(path))
		}
		text += " (" + strings.Join(files, ", ") + ")"
	}
	if o.Stopped {
		return text + "; it stays stopped"
	}
	for _, word := range []string{"reloaded", "started", "stopped"} {
		n := 0
		for _, i := range o.Instances {
			if i.Outcome == word {
				n++
			}
		}
		if n > 0 {
			text += fmt.Sprintf(", %d %s", n, word)
		}
	}
	if o.RunState != nil {
		text += fmt.Sprintf(", %d/%d ready", o.Ready, o.Wanted)
	}
	return text
}

// AppResult is the result of a reload, start, stop, restart or uninstall for one app, as --json prints it (schema 1).
type AppResult struct {
	Name   units.Name `json:"name"`
	OK     bool       `json:"ok"`
	TookMs int64      `json:"tookMs"`
	Error  string     `json:"error,omitempty"`
	// Log has the last log lines of the instance that failed.
	Log       []string         `json:"log,omitempty"`
	Instances []InstanceResult `json:"instances"`
}

// InstanceResult is the result for one instance. The field Outcome is "reloaded", "started", "stopped", "failed",
// "untouched" or "skipped".
type InstanceResult struct {
	Unit     string `json:"unit"`
	Instance int    `json:"instance"`
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason,omitempty"`
	// TookMs is the time from the start of the drain until the new process was ready.
	TookMs int64 `json:"tookMs"`
	PID    int   `json:"pid,omitempty"`
	// Killed is set if systemd killed the instance because its stop or start took too long.
	Killed bool `json:"killed,omitempty"`
	// Cut has the connections that were in use at the stop of the instance, or is nil.
	Cut *status.Cut `json:"cut,omitempty"`
}

// NewAppResult returns the result of a command for one app.
func NewAppResult(n units.Name, rolled []control.Rolled, took time.Duration, err error) AppResult {
	r := AppResult{Name: n, OK: err == nil, TookMs: took.Milliseconds(), Instances: instanceResults(rolled)}
	r.Error, r.Log = errorText(err)
	return r
}

func instanceResults(rolled []control.Rolled) []InstanceResult {
	list := make([]InstanceResult, 0, len(rolled))
	for _, r := range rolled {
		list = append(list, InstanceResult{
			Unit: r.Unit, Instance: r.Instance, Outcome: r.Outcome.String(), Reason: r.Reason,
			TookMs: r.Took.Milliseconds(), PID: r.State.MainPID,
		})
	}
	return list
}

// errorText returns the text and the log lines of an error, or nothing if err is nil.
func errorText(err error) (message string, log []string) {
	if err == nil {
		return "", nil
	}
	if e, ok := errors.AsType[*fault.NotReached](err); ok {
		log = e.Log
	}
	return err.Error(), log
}

// The method observe updates the result of a starting instance after a change of its state.
func (r *InstanceResult) observe(ev control.Progress, took time.Duration) {
	switch ev.Phase {
	case control.Ready, control.Finished:
		r.Outcome, r.Reason, r.PID, r.TookMs = control.RollStarted.String(), ev.Reason, ev.State.MainPID, took.Milliseconds()
	case control.SkippedByCondition:
		r.Outcome, r.Reason = control.RollSkipped.String(), ev.Reason
	case control.Broken:
		r.Outcome, r.Reason, r.PID = control.RollFailed.String(), ev.Reason, 0
	}
}

// compareStates returns what a command did to instances. The parameters before and after have the states of the instances
// before and after the command. The parameter started is the time of the start of the command.
func compareStates(before, after []control.State, started time.Time) []control.Rolled {
	rolled := make([]control.Rolled, len(after))
	for i := range after {
		rolled[i] = compareState(before[i], after[i], started)
	}
	return rolled
}

func compareState(before, after control.State, started time.Time) control.Rolled {
	_, i, _ := units.ParseInstance(after.Unit)
	r := control.Rolled{Instance: i, Unit: after.Unit, State: after}
	renewed := after.ActiveSince.After(before.ActiveSince)
	switch {
	case after.Up() && before.Up() && renewed:
		r.Outcome = control.RollReloaded
	case after.Up() && !before.Up():
		r.Outcome = control.RollStarted
	case after.Up():
		return r
	case before.Active == control.Inactive:
		r.Outcome, r.Reason = control.RollSkipped, control.Explain(after)
	default:
		r.Outcome, r.Reason = control.RollFailed, control.Explain(after)
	}
	if r.Outcome != control.RollSkipped && renewed {
		r.Took = max(after.ActiveSince.Sub(started), 0)
	}
	return r
}

// noteCuts adds to each result the connections that were in use when the command stopped the instance, and prints a note for
// them.
func (m *Manager) noteCuts(n units.Name, since time.Time, list []InstanceResult) {
	for i, r := range list {
		if r.Outcome == "untouched" || r.Outcome == "skipped" {
			continue
		}
		if cut := status.CutOf(m.Host, n, r.Instance, since); cut != nil {
			list[i].Cut = cut
			m.Note("%s: %s", strings.TrimSuffix(r.Unit, ".service"), cut)
		}
	}
}
