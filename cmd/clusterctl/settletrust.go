package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
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
	if name := g.e.callerName(); g.byCaller && !slices.Contains(a.Trust, name) {
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
				return fmt.Errorf("who may change the environment file %q: %w", f.Path, fault.Cause(err))
			}
			if f.ByWorker = len(writers) > 0; f.ByWorker && !g.mayRead(f.Path) {
				return g.refuse(unsafePath{What: anEnvFile, Path: f.Path, Writers: g.named(writers)})
			}
		}
		if !f.ByWorker && first == "" && g.inWorkerTree(f.Path) && g.mayRead(f.Path) {
			f.ByWorker = true
		}
		if first != "" && !f.ByWorker {
			if f.ByWorker = true; !g.mayRead(f.Path) {
				return fault.WithHint(fmt.Errorf("the environment file %q comes after %q, which %s reads, and must be readable too", f.Path, first, g.who.name),
					"name %s before %s", f.Path, first)
			}
		}
		if f.ByWorker && first == "" {
			first = f.Path
		}
		if f.ByWorker && !g.app.EnvFiles[i].ByWorker && !g.silent {
			g.noteWorkerReads(f.Path)
		}
		g.app.EnvFiles[i] = f
	}
	return nil
}

// inWorkerTree reports whether workers that run as root in a sandbox may make the file a link to what only PID 1 sees.
func (g *guard) inWorkerTree(path string) bool {
	if !g.root() || g.app.Sandbox == units.SandboxOff {
		return false
	}
	end, links := follow(path)
	places := []string{filepath.Clean(path), end}
	for _, l := range links {
		places = append(places, l.at)
	}
	return slices.ContainsFunc(g.app.WritableTrees(), func(tree string) bool {
		tree = filepath.Clean(tree)
		real, _ := follow(tree)
		return slices.ContainsFunc(places, func(p string) bool { return p == tree || inside(p, tree) || p == real || inside(p, real) })
	})
}

func (g *guard) noteWorkerReads(path string) {
	if g.root() {
		g.e.note("env-file: %s is read in the sandbox, since the workers may write there", path)
		return
	}
	g.e.note("env-file: %s is read as %s and not as root, since others than root may change it", path, g.who.name)
}

// mayRead says whether the workers can read a file, by the mode bits; an ACL is left for the start to find out, and so is
// a file that is missing.
func (g *guard) mayRead(path string) bool {
	who := g.who
	who.bare = g.app.Sandbox != units.SandboxOff
	if who.blockedBy(filepath.Dir(path)+"/.") != "" {
		return false
	}
	info, err := os.Stat(path)
	if err != nil || hasACL(path) {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || who.has(st, 0o4)
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
			err = fault.WithHint(err, "sudo clusterctl apply -f %s", text.Shell(e.store.SourcePath(a.Name)))
		}
		errs = append(errs, &fault.NotReached{Err: err})
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
