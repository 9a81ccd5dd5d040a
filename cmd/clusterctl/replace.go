package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/origin"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

func replaceFlag(replace *bool) cmdline.Flag {
	return cmdline.Flag{Name: "replace", To: replace, Usage: "replace an app of another project that has the same name"}
}

// takenError is the error for a name that an app of another project has.
type takenError struct {
	now, asked units.App
	hint       string
}

func (t *takenError) Error() string {
	return fmt.Sprintf("%s is the app of %s (%s), not of %s (%s)", t.now.Name, origin.Place(t.now), runsAs(t.now),
		origin.Place(t.asked), runsAs(t.asked))
}

func (t *takenError) Hint() string { return t.hint }

// Unwrap makes it a usage error.
func (t *takenError) Unwrap() error { return &fault.UsageError{} }

// mayReplace returns an error if the installed app belongs to another project: replacing it would close the port of that
// app. file: the new app is described in a file.
func (e *env) mayReplace(now, a units.App, file bool) error {
	switch {
	case e.store.Packaged(now.Name):
		return &install.PackagedError{App: now.Name} // even with --replace
	case origin.Same(now, a):
		return nil
	}
	free := e.freeName(a)
	hint := fmt.Sprintf("%s, or replace the app: --replace", e.named(free))
	if file {
		hint = fmt.Sprintf("name it %s in the file, or replace the app: %s", free, e.with("--replace"))
	}
	return &takenError{now: now, asked: a, hint: hint}
}

// named returns the command line with another name for the app.
func (e *env) named(name string) string {
	for i, word := range e.args {
		if word == "--" {
			break
		}
		again := *e
		again.args = slices.Clone(e.args)
		switch {
		case (word == "--name" || word == "-n") && i+1 < len(e.args):
			again.args[i+1] = name
			return again.sudoHint()
		case strings.HasPrefix(word, "--name="):
			again.args[i] = "--name=" + name
			return again.sudoHint()
		}
	}
	return e.with("--name", name)
}

// freeName returns an unused name that is made from the names of the app and its project.
func (e *env) freeName(a units.App) string {
	base := string(a.Name)
	if name := origin.DirectoryName(origin.Place(a)); name != "" && name != base {
		base += "-" + name
	}
	for i := 1; ; i++ {
		name := base
		if i > 1 {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		if _, err := e.store.Load(units.Name(name)); err != nil {
			if _, err := units.ParseName(name); err != nil {
				return resolve.AppName(name)
			}
			return name
		}
	}
}
