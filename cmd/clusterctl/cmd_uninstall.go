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

func uninstallCommand(e *env) *cmdline.Command {
	var o uninstallOptions
	return &cmdline.Command{
		Name: "uninstall", Aliases: []string{"delete", "del"}, Usage: "Stop apps and remove what clusterctl installed for them",
		Operands: []cmdline.Operand{wholeApps()},
		Description: []string{"Stops the apps and removes their units, configuration and state. Files that clusterctl did " +
			"not write are not removed, and neither are log lines in the journal of the machine. The private journal of an " +
			"app (--log-namespace) is removed, unless --keep-logs is given."},
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
	return withResults(e, results, err, o.asJSON)
}

// wholeApps returns the operand of commands that accept apps, but not single instances.
func wholeApps() cmdline.Operand {
	return cmdline.Operand{Forms: []cmdline.Form{cmdline.Name, cmdline.Glob, cmdline.All}, Repeats: true}
}

// The method uninstall asks one question for all apps, and uninstalls the apps. After an error it continues with the next
// app. It returns the results of the apps, or nil if it changed nothing.
func (e *env) uninstall(ctx context.Context, args []string, o uninstallOptions) ([]manage.AppResult, error) {
	names, err := e.namesOf(args)
	if err != nil {
		return nil, err
	}
	if err := e.needRoot(); err != nil {
		return nil, err
	}
	var missing []error
	for _, n := range names {
		if err := e.mustExist(n); err != nil {
			e.manager(nil).RemoveUnusedLock(ctx, n)
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
	return withEngine(ctx, e, names, func(m *manage.Manager, n units.Name) (manage.AppResult, error) {
		return m.Uninstall(ctx, n, o.keepLogs)
	})
}

// mustExist returns an error if the app is not installed. It returns nil if an interrupted install has left files.
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
	for _, n := range names {
		if a, err := e.store.Load(n); err == nil && a.Logs.Namespace && !keepLogs {
			what = whose + " units, configuration and journals with all lines"
		}
	}
	return fmt.Sprintf("stop %s and remove %s?", strings.Join(asStrings(names), ", "), what)
}

// namesOf returns the names of the apps that the names and patterns in words stand for. It also accepts the name of an app
// that is not installed, because uninstall removes the files of an install that was killed.
func (e *env) namesOf(words []string) ([]units.Name, error) {
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
				return nil, fault.WithHint(fault.Usagef("uninstall: %q matches instances, not apps", w),
					"clusterctl stop %s, or clusterctl scale", text.Shell(w))
			}
			names = append(names, o.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// confirm asks a question on the terminal. It returns an error if there is no terminal, or if the user does not type "y" or
// "yes".
func (e *env) confirm(ctx context.Context, question string) error {
	if !e.stdinTTY {
		return fault.WithHint(fault.Usagef("cannot ask for confirmation without a terminal"), "%s --yes", sudoHint(e.args))
	}
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	// Ctrl-C cannot interrupt a read from a terminal, so the goroutine may run until the process ends.
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
