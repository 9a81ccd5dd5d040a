package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
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
			"Reads clusterctl.yaml in this directory, or the FILE of --file. Installs the apps that are not installed, and " +
				"updates the apps that differ from the file. With NAMEs, changes only these apps. Apps that are not in the " +
				"file do not change, and a stopped app stays stopped.",
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
		Run: bind(e, &o, runApply),
	}
}

func runApply(ctx context.Context, e *env, o applyOptions, in cmdline.Input) error {
	o.givenSettle = in.Given("settle")
	if !o.dryRun {
		if err := e.needRoot(); err != nil {
			return err
		}
	}
	apps, err := e.resolver().Apps(o.file)
	if err != nil {
		return err
	}
	if apps, err = resolve.Choose(apps, in.Args, o.file); err != nil {
		return err
	}
	if o.dryRun {
		_, err := e.diffApps(ctx, apps)
		return err
	}
	if o.consent.file, err = e.resolver().Absolute(o.file); err != nil {
		return err
	}
	outcomes, err := inTurn(ctx, apps, func(a units.App) (manage.Outcome, error) {
		out, err := e.applyOne(ctx, a, changeOptions{
			InstallOptions: manage.InstallOptions{Settle: o.settle, Watch: !o.givenSettle, Force: o.force},
			replace:        o.replace, consent: o.consent,
		})
		if !o.asJSON {
			fmt.Fprintln(e.stdout, out.String())
			e.noteNewer(a.Name, out.Newer())
		}
		return out, withName(a.Name, len(apps) > 1, err)
	})
	return withResults(e, outcomes, err, o.asJSON)
}

// withName puts the name of the app in front of each joined error, if the command changes several apps. Each error keeps its
// hint.
func withName(n units.Name, several bool, err error) error {
	if err == nil || !several {
		return err
	}
	all := fault.Flatten(err)
	for i, part := range all {
		all[i] = fmt.Errorf("%s: %w", n, part)
	}
	return errors.Join(all...)
}

// applyOne installs or updates one app as a file or a revision describes it.
func (e *env) applyOne(ctx context.Context, a units.App, o changeOptions) (out manage.Outcome, err error) {
	defer func() {
		if out.Action == "" {
			out = manage.FailedOutcome(a.Name, err)
		}
	}()
	if err := e.mayDescribe(e.guard().Preview(a), o.consent); err != nil {
		return out, err
	}
	if a, err = e.resolver().App(resolve.Request{App: a, Given: resolve.AllGiven()}); err != nil {
		return out, err
	}
	s, closeApp, err := e.openApp(ctx, a, o)
	if err != nil {
		return out, err
	}
	defer closeApp()
	f, err := s.Render(ctx, a)
	if err != nil {
		return out, err
	}
	out, err = e.change(ctx, s, f, o)
	if err == nil && slices.ContainsFunc(out.Changed, func(path string) bool { return units.KindOf(path) == units.KindSocket }) {
		for _, where := range openedAddresses(a) {
			e.note("%s: listening on %s", a.Name, where)
		}
		e.noteSocketAccess(a)
	}
	return out, err
}

// changeOptions holds the options of a command that installs or updates an app.
type changeOptions struct {
	manage.InstallOptions
	// The field replace means that the app may replace an app of another project that has the same name.
	replace bool
	consent consent
}

// openApp opens an app for an install or update. It refuses an app of another project.
func (e *env) openApp(ctx context.Context, a units.App, o changeOptions) (s *manage.Session, closeApp func(), err error) {
	m, closeConn, err := e.connect(ctx)
	if err != nil {
		return nil, func() {}, err
	}
	if s, err = m.Open(ctx, a.Name); err != nil {
		closeConn()
		return nil, func() {}, err
	}
	closeApp = func() {
		_ = s.Close()
		closeConn()
	}
	if now, currentErr := s.Current(); currentErr == nil && !o.replace {
		if err := e.mayReplace(now, a, o.consent.file != ""); err != nil {
			closeApp()
			return nil, func() {}, err
		}
	}
	return s, closeApp, nil
}

// The method change installs or updates an app. It asks for confirmation if the app gets more rights.
func (e *env) change(ctx context.Context, s *manage.Session, f manage.Files, o changeOptions) (out manage.Outcome, err error) {
	if err := e.mayDescribe(f.App, o.consent); err != nil {
		return out, err
	}
	if now, err := s.Current(); err == nil {
		if err := e.mayChange(ctx, now, f.App, o.consent); err != nil {
			return out, err
		}
	}
	return s.Install(ctx, f, o.InstallOptions)
}
