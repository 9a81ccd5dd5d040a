package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
)

// right is one field of an app by which a change can give the workers, or a file of theirs, more than before.
type right struct {
	field string
	// more returns what b allows and a does not, in words such as "web -> root"; nothing where b allows no more.
	more func(a, b units.App) []string
}

// rights are all of them. A field that widens the sandbox needs a line here.
func rights() []right {
	return []right{
		{"run-as", moreRunAs},
		{"sandbox", func(a, b units.App) []string { return moreRank(a.Sandbox, b.Sandbox, sandboxRank) }},
		{"own-ptrace", func(a, b units.App) []string { return moreFlag(a.Shim.OwnPtrace, b.Shim.OwnPtrace) }},
		{"writable", func(a, b units.App) []string { return morePaths(a.Writable, b.Writable) }},
		{"reads", func(a, b units.App) []string { return outsideHome(b.RunAs, morePaths(a.Reads, b.Reads)) }},
		{"allow", func(a, b units.App) []string { return moreWords(allowances(a), allowances(b)) }},
		{"env-files", func(a, b units.App) []string { return moreWords(rootEnvFiles(a), rootEnvFiles(b)) }},
		{"listen", moreListeners},
		{"socket-options", func(a, b units.App) []string { return moreWords(trustedOptions(a), trustedOptions(b)) }},
		{"log-rate", moreLines},
		{"trust", func(a, b units.App) []string { return moreWords(a.Trust, b.Trust) }},
	}
}

// moreRights returns what b allows and a does not: "run-as: web -> root".
func moreRights(a, b units.App) []string {
	var list []string
	for _, r := range rights() {
		if more := r.more(a, b); len(more) > 0 {
			list = append(list, r.field+": "+strings.Join(more, ", "))
		}
	}
	return list
}

// moreRunAs: every other user counts as more rights, except after root.
func moreRunAs(a, b units.App) []string {
	if a.RunAs == b.RunAs || b.RunAs.Dynamic() || runsAsRoot(a) {
		return nil
	}
	return []string{a.RunAs.String() + " -> " + b.RunAs.String()}
}

func runsAsRoot(a units.App) bool {
	uid, ok := uidOf(a.RunAs.User)
	return !a.RunAs.Dynamic() && ok && uid == 0
}

// sandboxRank grows with what a sandbox lets through.
func sandboxRank(s units.Sandbox) int {
	return slices.Index([]units.Sandbox{units.SandboxStrict, units.SandboxDefault, units.SandboxOff}, s)
}

func moreRank[T fmt.Stringer](a, b T, rank func(T) int) []string {
	if rank(b) <= rank(a) {
		return nil
	}
	return []string{a.String() + " -> " + b.String()}
}

func moreFlag(a, b bool) []string {
	if a || !b {
		return nil
	}
	return []string{"false -> true"}
}

// morePaths returns the paths of b that are not in a tree of a.
func morePaths(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(b), func(p string) bool {
		return slices.ContainsFunc(a, func(tree string) bool {
			tree, p := path.Clean(tree), path.Clean(p)
			return p == tree || strings.HasPrefix(p, strings.TrimSuffix(tree, "/")+"/")
		})
	})
}

// outsideHome returns the paths that are not in the home of the workers' user, who may read them anyway. An update adds what
// the program needs of the home, which needs no consent. The path and the target of its links must be in the home.
func outsideHome(r units.RunAs, paths []string) []string {
	if r.Dynamic() {
		return paths
	}
	u, err := lookupUser(r.User)
	if err != nil || !inHome(path.Clean(u.HomeDir)) || path.Clean(u.HomeDir) == "/home" || path.Clean(u.HomeDir) == "/run/user" {
		return paths
	}
	home, _ := follow(u.HomeDir)
	return slices.DeleteFunc(paths, func(p string) bool {
		end, _ := follow(p)
		return inside(path.Clean(p), path.Clean(u.HomeDir)) && inside(end, home)
	})
}

func moreWords(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(b), func(s string) bool { return slices.Contains(a, s) })
}

func allowances(a units.App) []string {
	var list []string
	for _, w := range a.Allow {
		list = append(list, string(w))
	}
	return list
}

// trustedOptions are the options of listeners that PID 1 may set, and workers may not.
func trustedOptions(a units.App) []string {
	var list []string
	for _, o := range a.SocketOptions {
		if o.Trusted() {
			list = append(list, o.String())
		}
	}
	return list
}

// rootEnvFiles are the environment files that PID 1 reads as root.
func rootEnvFiles(a units.App) []string {
	var list []string
	for _, f := range a.EnvFiles {
		if !f.ByWorker {
			list = append(list, f.Path)
		}
	}
	return list
}

// consent is what there is for a change that gives an app more rights.
type consent struct {
	yes bool
	// file is the description that the change comes from; empty where it comes from flags or from a revision.
	file string
}

// untrustedError is a description that others than root and the caller may change, and that asks for more than it may.
type untrustedError struct {
	app    units.Name
	file   string
	asks   []string
	writer pathWriter
}

func (e *untrustedError) Error() string {
	return fmt.Sprintf("%q must not decide this for %s (%s): %s", e.file, e.app, strings.Join(e.asks, "; "), e.writer)
}

// Hint copies the file to a place of root's. The directory of an app may have to stay with its user.
func (e *untrustedError) Hint() string {
	return fmt.Sprintf("sudo install -m 644 %s /etc/%s.yaml && sudo clusterctl apply -f /etc/%[2]s.yaml", text.Shell(e.file), e.app)
}

// Unwrap makes it an error of missing permission.
func (e *untrustedError) Unwrap() error { return fs.ErrPermission }

// trustedFor refuses what a description must not decide because others than root and the caller may change it. An app that
// is there gets no more rights from it, and a new one no more than whoever may change the description has. Where others would
// decide what runs as root, or as another user than themselves, every change is refused.
func (e *env) trustedFor(a units.App, c consent) error {
	if c.file == "" {
		return nil
	}
	old, err := e.store.Load(a.Name)
	var gone *install.NotInstalledError
	installed := !errors.As(err, &gone)
	if installed && err != nil {
		return err
	}
	runs := a
	if installed {
		runs = old
	}
	g, err := e.newGuard(runs)
	if err != nil {
		return err
	}
	writers, err := g.checker.Writers(c.file, trust.Contents, g.caller)
	if err != nil {
		return fmt.Errorf("who may change %q: %w", c.file, fault.Cause(err))
	}
	if len(writers) == 0 {
		return nil
	}
	others, err := g.checker.Writers(c.file, trust.Contents, g.caller, g.who.uid)
	if err != nil {
		return fmt.Errorf("who may change %q: %w", c.file, fault.Cause(err))
	}
	ownUser := len(others) == 0 && !g.root()
	asks := moreRights(old, a)
	switch {
	case !installed:
		asks = moreRights(leastRights(a, ownUser), a)
	case len(asks) == 0 && !ownUser && !bytes.Equal(config.Encode(old), config.Encode(a)):
		asks = changedWords(old, a)
	}
	if len(asks) > 0 {
		return &untrustedError{app: a.Name, file: c.file, asks: asks, writer: g.named(writers)[0]}
	}
	return nil
}

// leastRights is what a new app may have by a description that others may change: a dynamic user, or their own.
func leastRights(a units.App, ownUser bool) units.App {
	least := units.App{Name: a.Name}
	if ownUser {
		least.RunAs = units.RunAs{User: a.RunAs.User}
		if inGroup(a.RunAs) {
			least.RunAs.Group = a.RunAs.Group
		}
	}
	if a.Directory != "" && path.Clean(a.Directory) != "/" {
		least.Writable = []string{a.Directory}
	}
	return least
}

// inGroup reports whether the user is in the group anyway.
func inGroup(r units.RunAs) bool {
	if r.Group == "" {
		return true
	}
	g, err := lookupGroup(r.Group)
	if err != nil {
		return false
	}
	gid, err := strconv.Atoi(g.Gid)
	id, userErr := identify(units.RunAs{User: r.User})
	return err == nil && userErr == nil && slices.Contains(id.gids, gid)
}

// mayChange names what a change of an app allows beyond what it had, and asks for a yes. That the caller is trusted from now
// on needs none.
func (e *env) mayChange(ctx context.Context, old, a units.App, c consent) error {
	asks := slices.DeleteFunc(moreRights(old, a), func(s string) bool { return s == "trust: "+e.callerName() })
	rights := strings.Join(asks, "; ")
	switch {
	case len(asks) == 0:
		return nil
	case c.yes:
		e.note("%s: %s", a.Name, rights)
		return nil
	case !e.stdinTTY:
		return fault.WithHint(fault.Usagef("%s gets more rights (%s), and there is no terminal to ask", a.Name, rights), "%s", e.with("--yes"))
	}
	return e.confirm(ctx, fmt.Sprintf("%s gets more rights (%s); go on?", a.Name, text.Printable(rights)))
}

// callerName is the user who gives the command.
func (e *env) callerName() string {
	if u, err := lookupUser(fmt.Sprint(e.caller())); err == nil {
		return u.Username
	}
	return fmt.Sprint(e.caller())
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
