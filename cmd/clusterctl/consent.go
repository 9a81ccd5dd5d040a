package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// consent describes whether a change may give an app more rights.
type consent struct {
	yes bool // --yes
	// file is the path of the file that describes the app, or empty if flags or a revision describe it.
	file string
}

// caller returns the user who runs the command, directly or with sudo.
func (e *env) caller() int {
	if uid, err := strconv.Atoi(e.getenv("SUDO_UID")); err == nil && e.euid == 0 {
		return uid
	}
	return e.uid
}

func (e *env) guard() guard.Guard {
	return guard.Guard{Caller: e.caller(), Root: e.euid == 0, LookPath: e.lookPath, Note: e.note}
}

// trustedFor returns an error if the file must not describe the app in this way; see [guard.Guard.MayDecide].
func (e *env) trustedFor(a units.App, c consent) error {
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
			"%s", e.with("--yes"))
	}
	return e.confirm(ctx, fmt.Sprintf("%s gets more rights (%s); continue?", a.Name, text.Printable(rights)))
}

// with returns the command line with more words, inserted before "--".
func (e *env) with(words ...string) string {
	i := slices.Index(e.args, "--")
	if i < 0 {
		i = len(e.args)
	}
	again := *e
	again.args = slices.Insert(slices.Clone(e.args), i, words...)
	return again.sudoHint()
}
