package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/origin"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// The type consent holds the settings that decide whether a change may give an app more rights.
type consent struct {
	yes bool // --yes
	// The field file is the path of the file that describes the app, or empty if flags or a revision describe it.
	file string
}

// caller returns the ID of the user who runs the command. For a command with sudo, this is the user who called sudo.
func (e *env) caller() int {
	if uid, err := strconv.Atoi(e.getenv("SUDO_UID")); err == nil && e.euid == 0 {
		return uid
	}
	return e.uid
}

func (e *env) guard() guard.Guard {
	return guard.Guard{Caller: e.caller(), Root: e.euid == 0, LookPath: e.lookPath, Note: e.note}
}

// mayDescribe returns an error if the description of the app is a file that users other than root and the caller may change,
// and if the file gives the app rights that these users do not have. [guard.Guard.MayDecide] describes the rules.
func (e *env) mayDescribe(a units.App, c consent) error {
	if c.file == "" {
		return nil
	}
	old, err := e.store.Load(a.Name)
	var gone *install.NotInstalledError
	switch {
	case errors.As(err, &gone):
		return e.guard().MayDecide(c.file, nil, a)
	case err != nil:
		return err
	}
	return e.guard().MayDecide(c.file, &old, a)
}

// mayChange asks for confirmation if a change gives an app more rights. A change that only adds the caller to the trusted
// users needs no confirmation.
func (e *env) mayChange(ctx context.Context, old, a units.App, c consent) error {
	asks := slices.DeleteFunc(guard.MoreRights(old, a), func(s string) bool { return s == "trust: "+e.guard().CallerName() })
	rights := strings.Join(asks, "; ")
	switch {
	case len(asks) == 0:
		return nil
	case c.yes:
		e.note("%s: %s", a.Name, rights)
		return nil
	case !e.stdinTTY:
		return fault.WithHint(fault.Usagef("%s gets more rights (%s): cannot ask for confirmation without a terminal", a.Name, rights),
			"%s", e.withWords("--yes"))
	}
	return e.confirm(ctx, fmt.Sprintf("%s gets more rights (%s); continue?", a.Name, text.Printable(rights)))
}

// withWords returns the command line with sudo in front and with more words inserted before "--".
func (e *env) withWords(words ...string) string {
	i := slices.Index(e.args, "--")
	if i < 0 {
		i = len(e.args)
	}
	return sudoHint(slices.Insert(slices.Clone(e.args), i, words...))
}

func replaceFlag(replace *bool) cmdline.Flag {
	return cmdline.Flag{Name: "replace", To: replace, Usage: "replace an app of another project that has the same name"}
}

// mayReplace returns an error if the installed app (now) and the new app (a) belong to different projects. The new app would
// close the port of the installed app. The parameter fromFile means that a file describes the new app.
func (e *env) mayReplace(now, a units.App, fromFile bool) error {
	switch {
	case e.store.Packaged(now.Name):
		return &install.PackagedError{App: now.Name} // an error even with --replace
	case origin.Same(now, a):
		return nil
	}
	free := e.freeName(a)
	hint := fmt.Sprintf("%s, or replace the app: --replace", e.withAppName(free))
	if fromFile {
		hint = fmt.Sprintf("rename the app to %s in the file, or replace the installed app: %s", free, e.withWords("--replace"))
	}
	return fault.WithHint(fault.Usagef("%s is the app of %s (%s), not of %s (%s)", now.Name, origin.Place(now), runsAs(now),
		origin.Place(a), runsAs(a)), "%s", hint)
}

// withAppName returns the command line with sudo in front and with another name for the app.
func (e *env) withAppName(name string) string {
	for i, word := range e.args {
		if word == "--" {
			break
		}
		switch {
		case (word == "--name" || word == "-n") && i+1 < len(e.args):
			return sudoHint(slices.Replace(slices.Clone(e.args), i+1, i+2, name))
		case strings.HasPrefix(word, "--name="):
			return sudoHint(slices.Replace(slices.Clone(e.args), i, i+1, "--name="+name))
		}
	}
	return e.withWords("--name", name)
}

// freeName joins the names of the app and its project to a name that no app has, and returns this name.
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
