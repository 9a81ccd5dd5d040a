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

// consent is what there is for a change that gives an app more rights.
type consent struct {
	yes bool
	// file is the description that the change comes from; empty where it comes from flags or from a revision.
	file string
}

// caller returns the user who gives the command, by sudo or directly.
func (e *env) caller() int {
	if uid, err := strconv.Atoi(e.getenv("SUDO_UID")); err == nil && e.euid == 0 {
		return uid
	}
	return e.uid
}

func (e *env) guard() guard.Guard {
	return guard.Guard{Caller: e.caller(), Root: e.euid == 0, LookPath: e.lookPath, Note: e.note}
}

// trustedFor refuses what the description of an app must not decide; see [guard.Guard.MayDecide].
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

// mayChange names what a change of an app allows beyond what it had, and asks for a yes. That the caller is trusted from now
// on needs none.
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
		return fault.WithHint(fault.Usagef("%s gets more rights (%s), and there is no terminal to ask", a.Name, rights),
			"%s", e.with("--yes"))
	}
	return e.confirm(ctx, fmt.Sprintf("%s gets more rights (%s); go on?", a.Name, text.Printable(rights)))
}

// with returns the command line with more words, before the program's own arguments.
func (e *env) with(words ...string) string {
	i := slices.Index(e.args, "--")
	if i < 0 {
		i = len(e.args)
	}
	again := *e
	again.args = slices.Insert(slices.Clone(e.args), i, words...)
	return again.sudoHint()
}
