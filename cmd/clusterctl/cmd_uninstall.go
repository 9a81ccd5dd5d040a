package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

type uninstallOptions struct{ yes, keepLogs, asJSON bool }

// uninstallCommand is the undo of install.
func uninstallCommand(e *env) *cmdline.Command {
	var o uninstallOptions
	return &cmdline.Command{
		Name: "uninstall", Aliases: []string{"delete", "del"}, Usage: "Stop apps and remove what clusterctl installed for them",
		Operands: []cmdline.Operand{wholeApps()},
		Description: []string{"Stops the apps and removes their units, configuration and state. Files that clusterctl did not write " +
			"stay, and so do the log lines in the journal of the machine. The private journal of an app (--log-namespace) is " +
			"removed, unless --keep-logs is given."},
		Examples: []string{"sudo clusterctl uninstall shop", "sudo clusterctl uninstall 'test-*' --yes"},
		Flags: []cmdline.Flag{
			{Name: "yes", Short: "y", To: &o.yes, Usage: "do not ask"},
			{Name: "keep-logs", To: &o.keepLogs, Usage: "keep the private journals of the apps"},
			rollJSONFlag(&o.asJSON),
		},
		Run: bind(e, &o, runUninstall),
	}
}

func runUninstall(ctx context.Context, e *env, o uninstallOptions, in cmdline.Input) error {
	results, err := e.uninstall(ctx, in.Args, o)
	if o.asJSON && results != nil {
		err = errors.Join(err, e.printResults(results))
	}
	return err
}

// wholeApps is the operand of commands that do not work on single instances.
func wholeApps() cmdline.Operand {
	return cmdline.Operand{Forms: []cmdline.Form{cmdline.Name, cmdline.Glob, cmdline.All}, Repeats: true}
}

// uninstall asks once for all, and goes on when one fails. It returns what became of each app, nil if it did not begin.
func (e *env) uninstall(ctx context.Context, args []string, o uninstallOptions) ([]manage.AppResult, error) {
	names, err := e.wholeApps(args)
	if err != nil {
		return nil, err
	}
	if err := e.needRoot(); err != nil {
		return nil, err
	}
	var missing []error
	for _, n := range names {
		if err := e.mustExist(n); err != nil {
			e.manager(nil).Tidy(ctx, n)
			missing = append(missing, err)
		}
	}
	if missing != nil || len(names) == 0 {
		return nil, errors.Join(missing...)
	}
	if !o.yes {
		if err := e.confirm(ctx, e.uninstallQuestion(names, o.keepLogs)); err != nil {
			return nil, err
		}
	}
	m, closeConn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn()
	results := []manage.AppResult{}
	var errs []error
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		r, err := m.Uninstall(ctx, n, o.keepLogs)
		errs, results = append(errs, err), append(results, r)
	}
	return results, errors.Join(errs...)
}

// mustExist returns an error for an app that is neither installed nor half installed.
func (e *env) mustExist(n units.Name) error {
	_, err := e.store.Load(n)
	if err == nil {
		return nil
	}
	if _, found, pendingErr := e.store.Pending(n); pendingErr == nil && found {
		return nil
	}
	return err
}

func (e *env) uninstallQuestion(names []units.Name, keepLogs bool) string {
	whose := "its"
	if len(names) > 1 {
		whose = "their"
	}
	what := whose + " units and configuration"
	var list []string
	for _, n := range names {
		list = append(list, string(n))
		if a, err := e.store.Load(n); err == nil && a.Logs.Namespace && !keepLogs {
			what = whose + " units, configuration and journals with all lines"
		}
	}
	return fmt.Sprintf("stop %s and remove %s?", strings.Join(list, ", "), what)
}

// wholeApps resolves words to apps. A name need not be that of an app that there is: an install that was killed leaves
// less than that, which an uninstall removes.
func (e *env) wholeApps(words []string) ([]units.Name, error) {
	var names []units.Name
	for _, w := range words {
		if !isPattern(w) {
			n, err := units.ParseName(w)
			if err != nil {
				return nil, err
			}
			names = append(names, n)
			continue
		}
		found, err := e.resolve([]string{w})
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if o.instance > 0 {
				return nil, fault.WithHint(fault.Usagef("%q is for instances, and an app goes as a whole", w),
					"clusterctl stop %s, or clusterctl scale", text.Shell(w))
			}
			names = append(names, o.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// confirm asks on a terminal, and refuses where there is nobody to ask.
func (e *env) confirm(ctx context.Context, question string) error {
	if !e.stdinTTY {
		return fault.WithHint(fault.Usagef("there is no terminal to ask on"), "%s --yes", e.sudoHint())
	}
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	// Nothing interrupts a read from a terminal; the goroutine ends with the process.
	answered := make(chan string, 1)
	go func() {
		var s string
		_, _ = fmt.Fscanln(e.stdin, &s)
		answered <- s
	}()
	var answer string
	select {
	case answer = <-answered:
	case <-ctx.Done():
		fmt.Fprintln(e.stderr)
		return ctx.Err()
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return fmt.Errorf("nothing was changed")
	}
	return nil
}
