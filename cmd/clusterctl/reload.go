package main

import (
	"context"
	"errors"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// rollFlags are those of every command that rolls.
type rollFlags struct {
	batch, surge    int
	force           bool
	surgeGiven      bool
	settle, timeout time.Duration
	asJSON          bool
}

func (o *rollFlags) flags() []cmdline.Flag {
	o.batch = 1
	return []cmdline.Flag{
		{Name: "batch", To: &o.batch, Takes: "N", Usage: "replace N instances at once"},
		{Name: "surge", To: &o.surge, Takes: "N", Usage: "start N extra instances first, and stop them at the end"},
		settleFlag(&o.settle),
		{Name: "force", To: &o.force, Usage: "continue after an instance did not stop and had to be killed"},
		timeoutFlag(&o.timeout),
	}
}

func timeoutFlag(timeout *time.Duration) cmdline.Flag {
	return cmdline.Flag{Name: "timeout", To: timeout, Takes: "TIME", Usage: "limit for each instance (default: the limits of its unit)"}
}

func (o rollFlags) check() error {
	switch {
	case o.batch < 1 || o.batch > units.MaxInstances:
		return fault.WithHint(fault.Usagef("--batch must be between 1 and %d", units.MaxInstances),
			"--batch 1 replaces one instance after the other")
	case o.surge < 0 || o.surge > units.MaxInstances:
		return fault.WithHint(fault.Usagef("--surge must be between 0 and %d", units.MaxInstances),
			"--surge 1 starts one extra instance first")
	}
	return nil
}

// special says whether more is asked for than "systemctl reload" would do.
func (o rollFlags) special() bool {
	return o.batch > 1 || o.surge > 0 || o.force || o.settle != defaultSettle || o.timeout > 0
}

// optionsOf are those for the app as a whole, of which that many instances are listed.
func (o rollFlags) optionsOf(a units.App, listed int) control.RollOptions {
	r := control.RollOptions{Batch: o.batch, Surge: o.surge, Force: o.force, Settle: o.settle, Timeout: o.timeout}
	if !o.surgeGiven {
		r.Surge = surgeOf(a, listed)
	}
	return r
}

// surgeOf is how many extra instances the app itself asks for.
func surgeOf(a units.App, listed int) int { return max(min(a.Surge, units.MaxInstances-listed), 0) }

func reloadCommand(e *env) *cmdline.Command {
	var o rollFlags
	return &cmdline.Command{
		Name: "reload", Usage: "Replace the instances of apps one after the other, without downtime",
		Operands: []cmdline.Operand{cmdline.Apps()},
		Description: []string{
			"Drains, stops and starts each instance. The next instance follows when this one is ready and has stayed alive for " +
				"--settle. If an instance does not come back, the reload ends: clusterctl prints the reason and the last log lines, and " +
				"the other instances keep running the old code. systemd continues to restart the failed instance.",
			"A reload begins with the instances that are down. Stopped instances stay stopped. A lost terminal does not end it.",
			"\"systemctl reload NAME\" does the same. To give it flags, run \"systemctl edit NAME.service\" and write under [Service]: " +
				"Environment=\"CLUSTERCTL_RELOAD_FLAGS=--batch 2\".",
		},
		Examples: []string{
			"sudo clusterctl reload shop", "sudo clusterctl reload shop --surge 2 --batch 2", "sudo clusterctl reload all --json",
		},
		Flags: append(o.flags(), rollJSONFlag(&o.asJSON)),
		Run: func(ctx context.Context, in cmdline.Input) error {
			o.surgeGiven = in.Given("surge")
			if err := o.check(); err != nil {
				return err
			}
			return runReload(withoutHangup(ctx), e, in.Args, o)
		},
	}
}

func rollJSONFlag(asJSON *bool) cmdline.Flag {
	return cmdline.Flag{Name: "json", To: asJSON, Usage: "print the result of each instance as JSON"}
}

func jsonFlag(asJSON *bool) cmdline.Flag {
	return cmdline.Flag{Name: "json", To: asJSON, Usage: "print JSON"}
}

// appRoll is what became of one app, as reload, start, stop and restart print it with --json (schema 1).
type appRoll struct {
	Name units.Name `json:"name"`
	OK   bool       `json:"ok"`
	// TookMs is in milliseconds.
	TookMs int64 `json:"tookMs"`
	// Error is why it ended before its end, Log the last lines of the instance that did it.
	Error     string         `json:"error,omitempty"`
	Log       []string       `json:"log,omitempty"`
	Instances []instanceRoll `json:"instances"`
}

// instanceRoll is what became of one instance: reloaded, started, failed, untouched or skipped.
type instanceRoll struct {
	Unit     string `json:"unit"`
	Instance int    `json:"instance"`
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason,omitempty"`
	// TookMs is from the begin of its drain until it was ready.
	TookMs int64 `json:"tookMs"`
	PID    int   `json:"pid,omitempty"`
	// Killed says that it did not stop, or start, in time, and was killed for it.
	Killed bool `json:"killed,omitempty"`
	// Cut are the connections that its stop may have cut.
	Cut *status.Cut `json:"cut,omitempty"`
}

// rollOf is one app and the instances of it that are named; none stands for all.
type rollOf struct {
	target
	only []int
}

func (r rollOf) String() string {
	if len(r.only) == 1 {
		return r.target.String()
	}
	return string(r.app.Name)
}

// byApp puts the named instances of an app together.
func byApp(targets []target) []rollOf {
	var out []rollOf
next:
	for _, t := range targets {
		for i := range out {
			if out[i].app.Name == t.app.Name {
				out[i].only = append(out[i].only, t.instance)
				continue next
			}
		}
		r := rollOf{target: t}
		if t.instance > 0 {
			r.only = []int{t.instance}
		}
		out = append(out, r)
	}
	return out
}

// runReload rolls one app after the other. That one fails does not keep the next from its turn.
func runReload(ctx context.Context, e *env, args []string, o rollFlags) error {
	targets, err := e.targets(args)
	if err != nil {
		return err
	}
	if o.surge > 0 {
		for _, t := range targets {
			if t.instance > 0 {
				return fault.WithHint(fault.Usagef("--surge is for an app as a whole, and %s is an instance", t), "clusterctl reload %s --surge %d", t.app.Name, o.surge)
			}
			if t.listed+o.surge > units.MaxInstances {
				return fault.Usagef("--surge %d: %s would have more than %d instances", o.surge, t, units.MaxInstances)
			}
		}
	}
	if e.euid != 0 && o.special() {
		return e.needRoot()
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	reports := []appRoll{}
	var errs []error
	for _, r := range byApp(targets) {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		started := e.now()
		rolled, err := e.reload(ctx, conn, r, o)
		err = e.withKilled(ctx, r.app, err, started)
		errs = append(errs, err)
		report := rollReportOf(r.app.Name, rolled, e.now().Sub(started), err)
		e.killed.mark(report.Instances)
		e.noteCuts(r.app.Name, started, report.Instances)
		reports = append(reports, report)
	}
	if o.asJSON {
		errs = append(errs, e.printRolls(reports))
	}
	return errors.Join(errs...)
}

// printRolls prints the result of a command for programs.
func (e *env) printRolls(reports []appRoll) error {
	return e.printJSON(struct {
		Schema int       `json:"schema"`
		Apps   []appRoll `json:"apps"`
	}{1, reports})
}

func rollReportOf(n units.Name, rolled []control.Rolled, took time.Duration, err error) appRoll {
	r := appRoll{Name: n, OK: err == nil, TookMs: took.Milliseconds(), Instances: []instanceRoll{}}
	if err != nil {
		r.Error = err.Error()
		var notReached *fault.NotReached
		if errors.As(err, &notReached) {
			r.Log = notReached.Log
		}
	}
	for _, one := range rolled {
		r.Instances = append(r.Instances, instanceRoll{
			Unit: one.Unit, Instance: one.Instance, Outcome: one.Outcome.String(), Reason: one.Reason,
			TookMs: one.Took.Milliseconds(), PID: one.State.MainPID,
		})
	}
	return r
}
