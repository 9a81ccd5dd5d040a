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

// The results are what --json prints (schema 1).

// Outcome is what an install, an apply or a rollback did to one app.
type Outcome struct {
	Name units.Name `json:"name"`
	// Action is created, updated, unchanged or failed.
	Action Action `json:"action"`
	// Changed are the files that were written, or removed.
	Changed []string `json:"changed"`
	// Instances are the instances that were started, replaced or stopped.
	Instances []InstanceResult `json:"instances"`
	// Stopped is set for an app that was stopped, and still is.
	Stopped bool `json:"stopped,omitempty"`
	// Standing is nil unless the instances were left alone.
	*Standing
	Error string `json:"error,omitempty"`
}

// Action is what was done to an app.
type Action string

// The actions.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	Failed    Action = "failed"
)

// Standing is how an app runs that was left alone.
type Standing struct {
	State  string `json:"state"`
	Ready  int    `json:"ready"`
	Wanted int    `json:"wanted"`
	// NewerFiles are read at a start, and have changed since an instance started.
	NewerFiles []string `json:"newerFiles,omitempty"`
}

// FailedOutcome is the outcome of an app that an error kept from being changed.
func FailedOutcome(n units.Name, err error) Outcome { return Outcome{Name: n}.finished(err) }

// finished fills in what is not set.
func (o Outcome) finished(err error) Outcome {
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

// Newer returns the files that the instances have not read yet, as far as that was looked at.
func (o Outcome) Newer() []string {
	if o.Standing == nil {
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
		return text + "; it is stopped, and stays so"
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
	if o.Standing != nil {
		text += fmt.Sprintf(", %d/%d ready", o.Ready, o.Wanted)
	}
	return text
}

// AppResult is what reload, start, stop, restart or uninstall did to one app.
type AppResult struct {
	Name units.Name `json:"name"`
	OK   bool       `json:"ok"`
	// TookMs is in milliseconds.
	TookMs int64 `json:"tookMs"`
	// Error is why it ended early, Log the last lines of the instance that failed.
	Error     string           `json:"error,omitempty"`
	Log       []string         `json:"log,omitempty"`
	Instances []InstanceResult `json:"instances"`
}

// InstanceResult is what became of one instance. Outcome is reloaded, started, stopped, failed, untouched or skipped.
type InstanceResult struct {
	Unit     string `json:"unit"`
	Instance int    `json:"instance"`
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason,omitempty"`
	// TookMs is from the start of its drain until it was ready.
	TookMs int64 `json:"tookMs"`
	PID    int   `json:"pid,omitempty"`
	// Killed is set if the instance did not stop, or start, in time, and was killed for it.
	Killed bool `json:"killed,omitempty"`
	// Cut are the connections that its stop may have cut.
	Cut *status.Cut `json:"cut,omitempty"`
}

// NewAppResult returns the result of a command on one app.
func NewAppResult(n units.Name, rolled []control.Rolled, took time.Duration, err error) AppResult {
	r := AppResult{Name: n, OK: err == nil, TookMs: took.Milliseconds(), Instances: instanceResults(rolled)}
	r.Error, r.Log = errorText(err)
	return r
}

func instanceResults(rolled []control.Rolled) []InstanceResult {
	list := make([]InstanceResult, 0, len(rolled))
	for _, one := range rolled {
		list = append(list, InstanceResult{
			Unit: one.Unit, Instance: one.Instance, Outcome: one.Outcome.String(), Reason: one.Reason,
			TookMs: one.Took.Milliseconds(), PID: one.State.MainPID,
		})
	}
	return list
}

// errorText returns the text of an error, and the log lines that it has.
func errorText(err error) (message string, log []string) {
	if err == nil {
		return "", nil
	}
	var notReached *fault.NotReached
	if errors.As(err, &notReached) {
		log = notReached.Log
	}
	return err.Error(), log
}

// observe updates the result of an instance that is started.
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

// compare returns what became of an instance between two looks.
func compare(i int, before, after control.State, started time.Time) control.Rolled {
	one := control.Rolled{Instance: i, Unit: after.Unit, State: after}
	renewed := after.ActiveSince.After(before.ActiveSince)
	switch {
	case after.Up() && before.Up() && renewed:
		one.Outcome = control.RollReloaded
	case after.Up() && !before.Up():
		one.Outcome = control.RollStarted
	case after.Up():
		return one
	case before.Active == control.Inactive:
		one.Outcome, one.Reason = control.RollSkipped, control.Explain(after)
	default:
		one.Outcome, one.Reason = control.RollFailed, control.Explain(after)
	}
	if one.Outcome != control.RollSkipped && renewed {
		one.Took = max(after.ActiveSince.Sub(started), 0)
	}
	return one
}
