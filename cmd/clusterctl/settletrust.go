package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/clusterctl/clusterctl/units"
)

// settleTrust refuses paths that others may change, and decides who reads the environment files.
func (e *env) settleTrust(a *units.App) error {
	g, err := e.newGuard(*a)
	if err != nil {
		return err
	}
	if err := g.settleEnvFiles(); err != nil {
		return err
	}
	unsafe, err := g.unsafe()
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range unsafe {
		if p.tolerated {
			e.note("%s: %s: %s", p.noun(), p.Path, p.who())
			continue
		}
		errs = append(errs, g.refuse(p))
	}
	*a = g.decided()
	return errors.Join(errs...)
}

// decided is the app with what the guard has decided. A reload by somebody else, or by systemd, must come to the same answer,
// so the caller stays among the users that are trusted.
func (g *guard) decided() units.App {
	a := g.app
	if name := g.checker.Accounts.User(g.caller); g.byCaller && !slices.Contains(a.Trust, name) {
		a.Trust = append(slices.Clone(a.Trust), name)
	}
	return a
}

// decided is an app as an apply would write it, as far as the caller may look. What an apply refuses is left to it.
func (e *env) decided(a units.App) units.App {
	g, err := e.newGuard(a)
	if err != nil {
		return a
	}
	g.silent = true
	if g.settleEnvFiles() != nil {
		return a
	}
	if _, err := g.unsafe(); err != nil {
		return a
	}
	return g.decided()
}

// settleEnvFiles has the shim read, as the workers' user, what that user or others may replace: PID 1 would read as root
// whatever they make of it. The files after such a file are read by the shim too, so that they still win over it.
func (g *guard) settleEnvFiles() error {
	g.app.EnvFiles = slices.Clone(g.app.EnvFiles)
	first := ""
	for i, f := range g.app.EnvFiles {
		if !f.ByWorker && first == "" && !g.root() {
			writers, err := g.ask(g.envFile(f))
			if err != nil {
				return fmt.Errorf("who may change the environment file %q: %w", f.Path, cause(err))
			}
			if f.ByWorker = len(writers) > 0; f.ByWorker && !g.mayRead(f.Path) {
				return g.refuse(unsafePath{What: anEnvFile, Path: f.Path, Writers: g.named(writers)})
			}
		}
		if first != "" && !f.ByWorker {
			if f.ByWorker = true; !g.mayRead(f.Path) {
				return withHint(fmt.Errorf("the environment file %q comes after %q, which %s reads, and must be readable too", f.Path, first, g.who.name),
					"name %s before %s", f.Path, first)
			}
		}
		if f.ByWorker && first == "" {
			first = f.Path
		}
		if f.ByWorker && !g.app.EnvFiles[i].ByWorker && !g.silent {
			g.e.note("env-file: %s is read as %s and not as root, since others than root may change it", f.Path, g.who.name)
		}
		g.app.EnvFiles[i] = f
	}
	return nil
}

// mayRead says whether the workers can read a file, by the mode bits; an ACL is left for the start to find out, and so is
// a file that is missing.
func (g *guard) mayRead(path string) bool {
	if g.who.blockedBy(filepath.Dir(path)+"/.") != "" {
		return false
	}
	info, err := os.Stat(path)
	if err != nil || hasACL(path) {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || g.who.has(st, 0o4)
}

// stillSafe refuses a reload of an app that obeys a path which others may change by now.
func (e *env) stillSafe(a units.App) error {
	if len(a.Command) == 0 {
		return nil // its units were only generated
	}
	g, err := e.newGuard(a)
	if err != nil {
		return err
	}
	unsafe, err := g.unsafe()
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range unsafe {
		if p.tolerated {
			continue
		}
		err := g.refuse(p)
		if p.What == anEnvFile && g.mayRead(p.Path) && !g.root() {
			// The app is from a clusterctl that did not know better, or the file has been given away since.
			err = withHint(err, "sudo clusterctl apply -f %s", shellWord(e.store.SourcePath(a.Name)))
		}
		errs = append(errs, &notReachedError{err: err})
	}
	return errors.Join(errs...)
}

// unsafeOf is for "show", which says what an install would refuse. Who is not root may not be able to look.
func (e *env) unsafeOf(a units.App) []unsafePath {
	g, err := e.newGuard(a)
	if err != nil {
		return nil
	}
	all, err := g.unsafe()
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(p unsafePath) bool { return p.tolerated })
}

// uidOf is the uid of a user, by name or number.
func uidOf(name string) (int, bool) {
	u, err := lookupUser(name)
	if err != nil {
		return 0, false
	}
	uid, err := strconv.Atoi(u.Uid)
	return uid, err == nil
}
