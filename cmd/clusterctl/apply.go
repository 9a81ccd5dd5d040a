package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
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

func fileFlag(file *string) cli.Flag {
	return &cli.StringFlag{Name: "file", Aliases: []string{"f"}, Value: defaultFile, Destination: file, Usage: "`FILE` that describes the apps"}
}

func applyCommand(e *env) *cli.Command {
	var o applyOptions
	return &cli.Command{
		Name: "apply", Usage: "Make apps what a file says, and touch nothing else",
		UsageText: "apply [-f FILE] [NAME...]",
		Description: "The file, clusterctl.yaml of this directory if no other is given, is the truth: an app that is not there is\n" +
			"installed, one that differs is updated, and one that is as the file says is not touched. With NAMEs, only those.\n" +
			"An app that is not in the file stays as it is. Instances are replaced one after the other with the port open; if\n" +
			"the first one does not come up, the app is put back as it was, and the next app of the file is gone on with.\n" +
			"An app that is stopped stays stopped.\n\n" +
			"EXAMPLES:\n   clusterctl apply --dry-run\n   sudo clusterctl apply\n   sudo clusterctl apply -f /srv/shop/clusterctl.yaml shop",
		Flags: []cli.Flag{
			fileFlag(&o.file),
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would change, as \"diff\" does, and change nothing", Destination: &o.dryRun},
			forceFlag(&o.force), replaceFlag(&o.replace), yesFlag(&o.consent.yes), settleFlag(&o.settle),
			&cli.BoolFlag{Name: "json", Usage: "for programs: {\"schema\": 1, \"apps\": […]}", Destination: &o.asJSON},
		},
		Action: func(c *cli.Context) error {
			args, err := operands(c, 0, -1, "")
			if err != nil {
				return err
			}
			o.givenSettle = c.IsSet("settle")
			return runApply(c.Context, e, o, args)
		},
	}
}

func runApply(ctx context.Context, e *env, o applyOptions, names []string) error {
	if !o.dryRun {
		if err := e.needRoot(); err != nil {
			return err
		}
	}
	apps, err := e.readApps(o.file)
	if err != nil {
		return err
	}
	if apps, err = choose(apps, names, o.file); err != nil {
		return err
	}
	if o.dryRun {
		_, err := e.diffApps(ctx, apps)
		return err
	}
	if o.consent.file, err = e.absolutePath(o.file); err != nil {
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
	a, err := e.settled(a)
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
