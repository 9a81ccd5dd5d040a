package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
)

// revisionInfo describes one earlier state of an app, as "show --revisions --json" prints it (schema 1).
type revisionInfo struct {
	Number int `json:"number"`
	// Until is the time of the change that replaced the revision. By is the command line that made this change.
	Until time.Time `json:"until"`
	By    string    `json:"by"`
	// Changed lists the keys that the command modified.
	Changed []string `json:"changed"`
}

// showRevisions prints the revisions that "rollback" can restore, newest first.
func (e *env) showRevisions(name string, asJSON bool) error {
	n, err := units.ParseName(name)
	if err != nil {
		return err
	}
	now, err := e.store.Load(n)
	if err != nil {
		return err
	}
	revisions, err := e.store.Revisions(n)
	if err != nil {
		return err
	}
	infos := make([]revisionInfo, 0, len(revisions))
	for i, r := range revisions {
		next := now
		if i+1 < len(revisions) {
			if next, err = revisions[i+1].App(n); err != nil {
				return err
			}
		}
		before, err := r.App(n)
		if err != nil {
			return err
		}
		// An older clusterctl stored command lines with the values of variables, so mask these values here.
		by := strings.Join(mask.CommandLine(strings.Fields(r.By)), " ")
		infos = append(infos, revisionInfo{Number: r.Number, Until: r.Until, By: by, Changed: changedKeys(before, next)})
	}
	slices.Reverse(infos)
	if asJSON {
		return e.printList(list{Name: n, Revisions: infos})
	}
	if len(infos) == 0 {
		e.note("%s has not been changed since it was installed", n)
		return nil
	}
	rows := make([][]string, 0, len(infos))
	for _, r := range infos {
		rows = append(rows, []string{
			strconv.Itoa(r.Number), r.Until.Local().Format(time.DateTime), text.Duration(e.now().Sub(r.Until)) + " ago",
			strings.Join(r.Changed, ", "), r.By,
		})
	}
	if err := text.Table(e.stdout, []string{"REVISION", "UNTIL", "", "THEN CHANGED", "BY"}, rows); err != nil {
		return err
	}
	e.note("undo the last change: sudo clusterctl rollback %s", n)
	return nil
}

// changedKeys returns the keys in which two revisions differ. If the keys are equal, it returns "units": an update of
// clusterctl or systemd, or a manual edit, has changed only the units.
func changedKeys(before, after units.App) []string {
	if keys := config.Changed(before, after); len(keys) > 0 {
		return keys
	}
	return []string{"units"}
}

type rollbackOptions struct {
	settle        time.Duration
	force, asJSON bool
	consent       consent
}

func rollbackCommand(e *env) *cmdline.Command {
	var o rollbackOptions
	return &cmdline.Command{
		Name: "rollback", Aliases: []string{"revert"}, Usage: "Restore an earlier revision of an app",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name}}, {Forms: []cmdline.Form{"REVISION"}, Optional: true}},
		Description: []string{fmt.Sprintf("Without REVISION, restores the app as it was before its last change. Only "+
			"differences are applied: instances are replaced one after the other while the port stays open, and if an "+
			"instance does not start, clusterctl undoes the rollback. A rollback is itself a change, so a second rollback "+
			"undoes the first. \"show NAME --revisions\" lists the last %d revisions.",
			install.KeepRevisions)},
		Examples: []string{"sudo clusterctl rollback shop", "sudo clusterctl rollback shop 3"},
		Flags:    []cmdline.Flag{forceFlag(&o.force), yesFlag(&o.consent.yes), settleFlag(&o.settle), jsonFlag(&o.asJSON)},
		Run:      bind(e, &o, runRollback),
	}
}

func runRollback(ctx context.Context, e *env, o rollbackOptions, in cmdline.Input) error {
	n, err := units.ParseName(in.Args[0])
	if err != nil {
		return err
	}
	if err := e.needRoot(); err != nil {
		return err
	}
	if err := e.mustExist(n); err != nil {
		return err
	}
	r, err := e.revision(n, in.Args[1:])
	if err != nil {
		return err
	}
	a, err := r.App(n)
	if err != nil {
		return err
	}
	out, err := e.applyOne(ctx, a, changeOptions{
		InstallOptions: manage.InstallOptions{Settle: o.settle, Force: o.force}, replace: true, consent: o.consent,
	})
	if o.asJSON {
		return withResults(e, []manage.Outcome{out}, err, true)
	}
	if err != nil {
		return err
	}
	if out.Action == manage.Unchanged {
		fmt.Fprintf(e.stdout, "%s: nothing has changed, the app already equals revision %d\n", n, r.Number)
		return nil
	}
	fmt.Fprintf(e.stdout, "%s, restored revision %d\n", out, r.Number)
	return nil
}

// The method revision returns the revision with the number in args, or the newest revision if args contains no number.
func (e *env) revision(n units.Name, args []string) (install.Revision, error) {
	revisions, err := e.store.Revisions(n)
	switch {
	case err != nil:
		return install.Revision{}, err
	case len(revisions) == 0:
		return install.Revision{}, fmt.Errorf("%s has no earlier revision: it has not changed since its install", n)
	case len(args) == 0:
		return revisions[len(revisions)-1], nil
	}
	k, err := strconv.Atoi(args[0])
	if err != nil {
		return install.Revision{}, fault.WithHint(fault.Usagef("rollback: invalid revision number %q", args[0]),
			"sudo clusterctl show %s --revisions", n)
	}
	i := slices.IndexFunc(revisions, func(r install.Revision) bool { return r.Number == k })
	if i < 0 {
		return install.Revision{}, fault.WithHint(fmt.Errorf("%s has no revision %d", n, k),
			"the app has revisions %d to %d: sudo clusterctl show %s --revisions",
			revisions[0].Number, revisions[len(revisions)-1].Number, n)
	}
	return revisions[i], nil
}
