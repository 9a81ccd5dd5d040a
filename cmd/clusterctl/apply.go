package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/units"
)

type applyOptions struct {
	file           string
	dryRun, asJSON bool
	force, replace bool
	consent        consent
	settle         time.Duration
	givenSettle    bool
}

func fileFlag(file *string) cmdline.Flag {
	*file = resolve.DefaultFile
	return cmdline.Flag{Name: "file", Short: "f", To: file, Takes: cmdline.File, Usage: "file that describes the apps"}
}

func applyCommand(e *env) *cmdline.Command {
	var o applyOptions
	return &cmdline.Command{
		Name: "apply", Usage: "Install or update the apps of a file",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name}, Optional: true, Repeats: true}},
		Description: []string{
			"Reads clusterctl.yaml in this directory, or the FILE of --file. Apps that are not installed are installed, apps that " +
				"differ are updated, and the others are not touched. With NAMEs, only these apps. Apps that are not in the file stay " +
				"as they are, and a stopped app stays stopped.",
			"Instances are replaced one after the other while the port stays open. If the first new instance does not start, the app " +
				"is rolled back, and clusterctl continues with the next app.",
		},
		Examples: []string{
			"clusterctl apply --dry-run", "sudo clusterctl apply", "sudo clusterctl apply -f /srv/shop/clusterctl.yaml shop",
		},
		Flags: []cmdline.Flag{
			fileFlag(&o.file),
			{Name: "dry-run", To: &o.dryRun, Usage: "print what would change, like \"diff\", and change nothing"},
			forceFlag(&o.force), replaceFlag(&o.replace), yesFlag(&o.consent.yes), settleFlag(&o.settle), jsonFlag(&o.asJSON),
		},
		Run: func(ctx context.Context, in cmdline.Input) error {
			o.givenSettle = in.Given("settle")
			return runApply(ctx, e, o, in.Args)
		},
	}
}

func runApply(ctx context.Context, e *env, o applyOptions, names []string) error {
	if !o.dryRun {
		if err := e.needRoot(); err != nil {
			return err
		}
	}
	apps, err := e.resolver().Apps(o.file)
	if err != nil {
		return err
	}
	if apps, err = resolve.Choose(apps, names, o.file); err != nil {
		return err
	}
	if o.dryRun {
		_, err := e.diffApps(ctx, apps)
		return err
	}
	if o.consent.file, err = e.resolver().Absolute(o.file); err != nil {
		return err
	}
	outcomes := make([]outcome, 0, len(apps))
	var errs []error
	for _, a := range apps {
		out, err := e.applyOne(ctx, a, updateOptions{settle: o.settle, watch: !o.givenSettle, force: o.force, replace: o.replace, consent: o.consent})
		e.killed.mark(out.Instances)
		outcomes = append(outcomes, out)
		errs = append(errs, of(a.Name, len(apps), err)...)
		if !o.asJSON {
			fmt.Fprintln(e.stdout, out.String())
			e.noteNewer(a.Name, out.newerFiles())
		}
		if ctx.Err() != nil {
			break
		}
	}
	if o.asJSON {
		errs = append(errs, e.printJSON(struct {
			Schema int       `json:"schema"`
			Apps   []outcome `json:"apps"`
		}{1, outcomes}))
	}
	return errors.Join(errs...)
}

// of says which of several apps errors are of; each keeps its line and its hint.
func of(n units.Name, apps int, err error) []error {
	if err == nil {
		return nil
	}
	var all []error
	for _, one := range fault.Flatten(err) {
		if apps > 1 {
			one = fmt.Errorf("%s: %w", n, one)
		}
		all = append(all, one)
	}
	return all
}

// applyOne makes one app what a file, or a revision, says.
func (e *env) applyOne(ctx context.Context, a units.App, o updateOptions) (outcome, error) {
	fail := func(err error) (outcome, error) {
		return outcome{Name: a.Name, Action: actionFailed, Changed: []string{}, Instances: []instanceRoll{}, Error: err.Error()}, err
	}
	if err := e.trustedFor(e.guard().Preview(a), o.consent); err != nil {
		return fail(err)
	}
	a, err := e.resolver().App(resolve.Request{App: a, Given: resolve.Everything()})
	if err != nil {
		return fail(err)
	}
	d, err := e.newDeploy(ctx, a)
	if err != nil {
		return fail(err)
	}
	defer d.close()
	out, err := d.install(ctx, o)
	if err == nil && slices.ContainsFunc(out.Changed, func(path string) bool { return units.KindOf(path) == units.KindSocket }) {
		for _, where := range opened(d.app) {
			e.note("%s: listening on %s", a.Name, where)
		}
		e.noteSocketAccess(d.app)
	}
	return out, err
}

// String tells an outcome in one line.
func (o outcome) String() string {
	text := fmt.Sprintf("%s: %s", o.Name, o.Action)
	if len(o.Changed) > 0 && o.Action == actionUpdated {
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
	if o.standing != nil {
		text += fmt.Sprintf(", %d/%d ready", o.Ready, o.Wanted)
	}
	return text
}
