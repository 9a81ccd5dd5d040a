package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
	"github.com/rogpeppe/go-internal/diff"
)

type diffOptions struct {
	file          string
	all, exitCode bool
}

func diffCommand(e *env) *cmdline.Command {
	var o diffOptions
	return &cmdline.Command{
		Name: "diff", Usage: "Show what \"apply\" would change in the files of apps",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name}, Optional: true, Repeats: true}},
		Description: []string{"Compares the files on disk with the files that \"apply\" would write, and prints a unified " +
			"diff. Without a clusterctl.yaml, or with --all, compares the units of installed apps with the units that this " +
			"version of clusterctl would write for their stored configuration. The diff then shows manual edits, and " +
			"differences between this version of clusterctl and the version that wrote the units. diff does not need root."},
		Examples: []string{"clusterctl diff", "clusterctl diff -f /srv/shop/clusterctl.yaml shop", "clusterctl diff --all --exit-code"},
		Flags: []cmdline.Flag{
			fileFlag(&o.file),
			{Name: "all", Short: "a", To: &o.all, Usage: "compare all installed apps with their stored configuration"},
			{Name: "exit-code", To: &o.exitCode, Usage: "exit with 1 if there are differences"},
		},
		Run: bind(e, &o, runDiff),
	}
}

func runDiff(ctx context.Context, e *env, o diffOptions, in cmdline.Input) error {
	if o.all && (in.Given("file") || len(in.Args) > 0) {
		return fault.WithHint(fault.Usagef("--all cannot be combined with --file or names"), "clusterctl diff --all")
	}
	apps, err := e.appsToCompare(o, in.Args, in.Given("file"))
	if err != nil {
		return err
	}
	differ, err := e.diffApps(ctx, apps)
	if err == nil && differ && o.exitCode {
		return errDiffer
	}
	return err
}

// errDiffer is the error that diff returns if --exit-code is given and there are differences. The function run does not
// print this error.
var errDiffer = errors.New("there are differences")

// appsToCompare returns the apps that the file describes, or the installed apps with their stored configuration.
func (e *env) appsToCompare(o diffOptions, names []string, fileGiven bool) ([]units.App, error) {
	path, err := e.resolver().Absolute(o.file)
	if err != nil {
		return nil, err
	}
	_, statErr := e.stat(path)
	if !o.all && (fileGiven || statErr == nil) {
		apps, err := e.resolver().Apps(o.file)
		if err != nil {
			return nil, err
		}
		return resolve.Choose(apps, names, o.file)
	}
	if !o.all && len(names) == 0 {
		return nil, fault.WithHint(fault.Usagef("diff: this directory has no %s", resolve.DefaultFile),
			"clusterctl diff -f FILE, clusterctl diff NAME, or clusterctl diff --all")
	}
	if o.all {
		installed, err := e.store.Apps()
		if err != nil {
			return nil, err
		}
		names = asStrings(installed)
	}
	var apps []units.App
	for _, s := range names {
		n, err := units.ParseName(s)
		if err != nil {
			return nil, err
		}
		if o.all && e.store.Packaged(n) {
			e.note("%s: skipped, because a Debian package installed it", n)
			continue
		}
		a, err := e.store.Load(n)
		if err != nil {
			return nil, err
		}
		apps = append(apps, a)
	}
	return apps, nil
}

// diffApps prints the differences of the apps, and reports whether there are any. After an error it continues with the next
// app.
func (e *env) diffApps(ctx context.Context, apps []units.App) (differ bool, err error) {
	var errs []error
	for _, a := range apps {
		a = e.guard().Preview(a)
		if old, err := e.store.Load(a.Name); err == nil {
			if err := e.mayReplace(old, a, true); err != nil {
				e.note("%v; apply needs --replace", err)
			}
			for _, more := range guard.MoreRights(old, a) {
				e.note("%s gets more rights: %s", a.Name, more)
			}
		}
		f, err := e.render(ctx, a)
		var p install.Plan
		if err == nil {
			p, err = e.store.Plan(a.Name, f.Set, f.Source)
		}
		if err != nil {
			errs = append(errs, withName(a.Name, len(apps) > 1, err))
			continue
		}
		if len(a.Env) > 0 && install.FileOf(p.Changes, units.KindValues).Path == "" {
			e.note("%s: the values of variables are not compared, because only root can read them", a.Name)
		}
		for _, c := range p.Changes {
			before, after := mask.Change(c)
			changed := unifiedDiff(c.Path, before, after)
			if c.Op == install.Keep || changed == "" {
				continue
			}
			differ = true
			if _, err := fmt.Fprint(e.stdout, e.colourDiff(changed)); err != nil {
				return differ, err
			}
		}
	}
	return differ, errors.Join(errs...)
}

// unifiedDiff returns the difference of two texts in the format of "diff -u", or "" if they are equal. If a file is
// missing, its text is nil.
func unifiedDiff(path string, before, after []byte) string {
	if bytes.Equal(before, after) && (before == nil) == (after == nil) {
		return ""
	}
	from, to := path, path
	if before == nil {
		from = "/dev/null"
	}
	if after == nil {
		to = "/dev/null"
	}
	// Omit the first line, which begins with "diff": patch(1) does not need this line.
	if _, lines, ok := strings.Cut(string(diff.Diff(from, before, to, after)), "\n"); ok {
		return lines
	}
	return fmt.Sprintf("--- %s\n+++ %s\n", from, to) // one of the files is missing, the other is empty
}

// colourDiff adds colours to a unified diff if stdout is a terminal. Otherwise it returns the diff unchanged, so
// that patch(1) can read it.
func (e *env) colourDiff(unified string) string {
	if !e.colours {
		return unified
	}
	const red, green, cyan, bold, reset = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[1m", "\x1b[0m"
	var b strings.Builder
	for line := range strings.Lines(unified) {
		line = text.Printable(strings.TrimSuffix(line, "\n"))
		colour := ""
		switch {
		case slices.Contains([]string{"--- ", "+++ "}, line[:min(4, len(line))]):
			colour = bold
		case strings.HasPrefix(line, "@@"):
			colour = cyan
		case strings.HasPrefix(line, "-"):
			colour = red
		case strings.HasPrefix(line, "+"):
			colour = green
		}
		if colour != "" {
			line = colour + line + reset
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
