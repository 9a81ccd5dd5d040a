package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// rollFlags holds the values of the flags of the commands that replace instances one after the other.
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
		{Name: "surge", To: &o.surge, Takes: "N", Usage: "start N extra instances first, and stop them after the reload"},
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

// hasOwnFlags reports whether a flag has a value that "systemctl reload" does not use.
func (o rollFlags) hasOwnFlags() bool {
	return o.batch > 1 || o.surge > 0 || o.force || o.settle != manage.DefaultSettle || o.timeout > 0
}

// optionsOf returns the options for a reload of all instances of an app. The parameter listed is the number of these
// instances.
func (o rollFlags) optionsOf(a units.App, listed int) control.RollOptions {
	r := control.RollOptions{Batch: o.batch, Surge: o.surge, Force: o.force, Settle: o.settle, Timeout: o.timeout}
	if !o.surgeGiven {
		r.Surge = manage.Surge(a, listed)
	}
	return r
}

func reloadCommand(e *env) *cmdline.Command {
	var o rollFlags
	return &cmdline.Command{
		Name: "reload", Usage: "Replace the instances of apps one after the other, without downtime",
		Operands: []cmdline.Operand{cmdline.Apps()},
		Description: []string{
			"Drains, stops and starts each instance. When the instance is ready again and has stayed alive for --settle, " +
				"reload continues with the next instance. If the instance does not become ready, the reload ends: " +
				"clusterctl prints the reason and the last log lines, and the instances that were not replaced yet keep " +
				"running the old code. systemd continues to restart the failed instance.",
			"A reload begins with the instances that are down. Stopped instances stay stopped. A lost terminal does not end the reload.",
			"\"systemctl reload NAME\" does the same. To add flags to this reload, run \"systemctl edit NAME.service\", " +
				"and write under [Service]: Environment=\"CLUSTERCTL_RELOAD_FLAGS=--batch 2\".",
		},
		Examples: []string{
			"sudo clusterctl reload shop", "sudo clusterctl reload shop --surge 2 --batch 2", "sudo clusterctl reload all --json",
		},
		Flags: append(o.flags(), rollJSONFlag(&o.asJSON)),
		Run:   bind(e, &o, runReload),
	}
}

func rollJSONFlag(asJSON *bool) cmdline.Flag {
	return cmdline.Flag{Name: "json", To: asJSON, Usage: "print the result of each instance as JSON"}
}

func jsonFlag(asJSON *bool) cmdline.Flag {
	return cmdline.Flag{Name: "json", To: asJSON, Usage: "print JSON"}
}

// rollOf holds an app and the numbers of the instances to replace. If the field onlyInstances is empty, all instances are
// replaced.
type rollOf struct {
	target
	onlyInstances []int
}

func (r rollOf) String() string {
	if len(r.onlyInstances) == 1 {
		return r.target.String()
	}
	return string(r.app.Name)
}

// byApp returns one rollOf for each app in the list targets.
func byApp(targets []target) []rollOf {
	var out []rollOf
next:
	for _, t := range targets {
		for i := range out {
			if out[i].app.Name == t.app.Name {
				out[i].onlyInstances = append(out[i].onlyInstances, t.instance)
				continue next
			}
		}
		r := rollOf{target: t}
		if t.instance > 0 {
			r.onlyInstances = []int{t.instance}
		}
		out = append(out, r)
	}
	return out
}

// runReload reloads one app after the other. After an error it continues with the next app.
func runReload(ctx context.Context, e *env, o rollFlags, in cmdline.Input) error {
	ctx = withoutHangup(ctx)
	o.surgeGiven = in.Given("surge")
	if err := o.check(); err != nil {
		return err
	}
	targets, err := e.targets(in.Args)
	if err != nil {
		return err
	}
	if o.surge > 0 {
		for _, t := range targets {
			if t.instance > 0 {
				return fault.WithHint(fault.Usagef("--surge cannot be used for %s, which is an instance", t),
					"clusterctl reload %s --surge %d", t.app.Name, o.surge)
			}
			if t.listed+o.surge > units.MaxInstances {
				return fault.Usagef("--surge %d: %s would have more than %d instances", o.surge, t, units.MaxInstances)
			}
		}
	}
	if e.euid != 0 && o.hasOwnFlags() {
		return e.needRoot()
	}
	results, err := withEngine(ctx, e, byApp(targets), func(m *manage.Manager, r rollOf) (manage.AppResult, error) {
		started := e.now()
		rolled, err := e.reload(ctx, m, r, o)
		err = m.WithKilled(ctx, r.app, err, started)
		return m.RollResult(r.app.Name, rolled, started, err), err
	})
	return withResults(e, results, err, o.asJSON)
}

// The method reload reloads one app. A user who is not root cannot control single instances, so systemd reloads the whole
// app for this user.
func (e *env) reload(ctx context.Context, m *manage.Manager, r rollOf, o rollFlags) ([]control.Rolled, error) {
	s, err := m.Open(ctx, r.app.Name)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	a, err := s.Current()
	if err != nil {
		return nil, err
	}
	listed, err := s.Listed() // another command may have scaled the app before Open
	if err != nil {
		return nil, err
	}
	var rolled []control.Rolled
	if !m.Root && r.onlyInstances == nil {
		rolled, err = s.ReloadByJob(ctx)
	} else {
		if m.Root {
			if err := e.guard().StillSafe(a, e.store.SourcePath(a.Name)); err != nil {
				return nil, err
			}
		}
		rolled, err = s.Reload(ctx, r.onlyInstances, o.optionsOf(a, listed))
	}
	if err != nil {
		return rolled, err
	}
	return rolled, e.noteRolled(r, rolled)
}

// noteRolled prints which instances were reloaded, started or skipped. If the whole app is stopped and the user gave its
// name, noteRolled returns an error.
func (e *env) noteRolled(r rollOf, rolled []control.Rolled) error {
	count := map[control.RollOutcome]int{}
	var took time.Duration
	for _, instance := range rolled {
		count[instance.Outcome]++
		took = max(took, instance.Took)
	}
	reloaded, started := count[control.RollReloaded], count[control.RollStarted]
	switch {
	case reloaded+started == 0 && r.implied:
		e.note("%s: skipped, because it is stopped", r)
		return nil
	case reloaded+started == 0:
		return fault.WithHint(fmt.Errorf("%s is stopped, so it cannot be reloaded", r), "sudo clusterctl start %s", r)
	}
	done := "reloaded " + text.Count(reloaded, "instance")
	if started > 0 {
		done += fmt.Sprintf(", started %d", started)
	}
	e.note("%s: %s (slowest %s)", r, done, text.Duration(took))
	for _, line := range skipReasons(rolled) {
		e.note("%s: skipped %s", r, line)
	}
	return nil
}

// skipReasons returns a line for each reason why instances were skipped: "shop@3, shop@4, shop@5 and 6 more: it is stopped".
func skipReasons(rolled []control.Rolled) []string {
	const most = 3
	var lines, reasons []string
	for _, instance := range rolled {
		// An app may list more instances than there are CPUs, for a machine that gets more CPUs later.
		if instance.Outcome == control.RollSkipped && !instance.State.Skipped() && !slices.Contains(reasons, instance.Reason) {
			reasons = append(reasons, instance.Reason)
		}
	}
	for _, reason := range reasons {
		var names []string
		for _, instance := range rolled {
			if instance.Outcome == control.RollSkipped && instance.Reason == reason {
				names = append(names, strings.TrimSuffix(instance.Unit, ".service"))
			}
		}
		text := strings.Join(names[:min(len(names), most)], ", ")
		if more := len(names) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		lines = append(lines, text+": "+reason)
	}
	return lines
}
