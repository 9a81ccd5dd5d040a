package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// defaultFile is the file beside the program.
const defaultFile = "clusterctl.yaml"

// readApps reads a file with apps, with the paths in it made absolute by the directory it is in. The source of an installed
// app has no values of variables, so they come from the values file.
func (e *env) readApps(path string) ([]units.App, error) {
	full, err := e.absolutePath(path)
	if err != nil {
		return nil, err
	}
	if name, ok := e.sourceOf(full); ok {
		a, err := e.store.Load(name)
		return []units.App{a}, err
	}
	data, err := os.ReadFile(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fmt.Errorf("there is no file %q", path), "give its name: -f FILE (clusterctl.yaml(5) says what is in it)")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, fault.Cause(err))
	}
	return config.Parse(path, data, func(a *units.App) error {
		e.keepCount(a)
		return e.resolvePaths(a, filepath.Dir(full))
	})
}

// sourceOf returns the app whose source in the store the path is.
func (e *env) sourceOf(path string) (units.Name, bool) {
	name, err := units.ParseName(strings.TrimSuffix(filepath.Base(path), ".yaml"))
	if err != nil || path != e.store.ConfigPath(name) {
		return "", false
	}
	_, err = os.Lstat(path)
	return name, err == nil
}

// resolvePaths makes paths absolute, and finds the program as a shell would. It does not look whether anything is there.
func (e *env) resolvePaths(a *units.App, dir string) error {
	absolute := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	absolute(&a.Directory)
	for i := range a.EnvFiles {
		absolute(&a.EnvFiles[i].Path)
	}
	for i := range a.Writable {
		absolute(&a.Writable[i])
	}
	for i := range a.Reads {
		absolute(&a.Reads[i])
	}
	if len(a.Command) == 0 || a.Command[0] == "" || filepath.IsAbs(a.Command[0]) {
		return nil
	}
	program := a.Command[0]
	if strings.Contains(program, "/") {
		if a.Directory != "" {
			dir = a.Directory
		}
		program = filepath.Join(dir, program)
	} else {
		found, err := e.findInterpreter([]string{program})
		if err != nil {
			return &units.FieldError{Key: "command", Message: fmt.Sprintf("the program %q is not in $PATH", program), Hint: "give its full path"}
		}
		program = found
	}
	a.Command = append([]string{program}, a.Command[1:]...)
	return nil
}

// choose takes the apps with these names, in the order of the file; all of them when there are no names.
func choose(apps []units.App, names []string, path string) ([]units.App, error) {
	if len(names) == 0 {
		return apps, nil
	}
	var known []string
	for _, a := range apps {
		known = append(known, string(a.Name))
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			err := fmt.Errorf("there is no app %q in %s", n, path)
			if like := text.Nearest(n, known); like != "" {
				return nil, fault.WithHint(err, "did you mean %s?", like)
			}
			return nil, fault.WithHint(err, "it has %s", strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(apps), func(a units.App) bool { return !slices.Contains(names, string(a.Name)) }), nil
}

// settled completes an app that a file describes: nothing is chosen, all is checked.
func (e *env) settled(a units.App) (units.App, error) {
	directory := a.Directory
	if directory == "" {
		a.Directory = "/"
	}
	f := appFlags{runAs: a.RunAs.String(), activation: a.Activation.String(), ready: a.Ready.String(), drain: "epoll"}
	if err := e.settle(&a, &f); err != nil {
		return a, err
	}
	if directory == "" {
		a.Directory = ""
	}
	return a, nil
}

// inFile says whether a target of install is an app in the clusterctl.yaml of this directory.
func (e *env) inFile(target string) (bool, error) {
	if _, err := units.ParseName(target); err != nil || e.hasCommand {
		return false, nil
	}
	path, err := e.absolutePath(defaultFile)
	if err != nil {
		return false, nil // the current directory is gone, and a file in it too
	}
	if _, err := os.Stat(path); err != nil {
		return false, nil
	}
	apps, err := e.readApps(defaultFile)
	if err != nil {
		if _, statErr := os.Stat(target); statErr == nil {
			return false, nil // a file or directory, whatever is wrong in the other
		}
		return false, err
	}
	return slices.ContainsFunc(apps, func(a units.App) bool { return string(a.Name) == target }), nil
}

// installFromFile installs one app of the clusterctl.yaml of this directory.
// given are the names of the flags on the command line.
func installFromFile(ctx context.Context, e *env, o installOptions, name string, given []string) error {
	for _, flag := range given {
		if !slices.Contains([]string{"dry-run", "settle", "json", "force", "replace", "yes"}, flag) {
			return fault.WithHint(fault.Usagef("--%s: %s is described in %s", flag, name, defaultFile), "write it there, or put the program behind --")
		}
	}
	if !o.dryRun {
		if err := e.needRoot(); err != nil {
			return err
		}
	}
	apps, err := e.readApps(defaultFile)
	if err != nil {
		return err
	}
	if apps, err = choose(apps, []string{name}, defaultFile); err != nil {
		return err
	}
	if o.consent.file, err = e.absolutePath(defaultFile); err != nil {
		return err
	}
	if err := e.trustedFor(e.guard().Preview(apps[0]), o.consent); err != nil {
		return err
	}
	a, err := e.settled(apps[0])
	if err != nil {
		return err
	}
	d, err := e.newDeploy(ctx, a)
	if err != nil {
		return err
	}
	defer d.close()
	if o.dryRun {
		return d.dryRun()
	}
	return d.installAndTell(ctx, o)
}
