package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
)

// guarded is a path that root, PID 1 or the workers obey.
type guarded struct {
	what  string
	path  string
	scope trust.Scope
	// worker: the workers' user may write there.
	worker bool
	// strict: any other writer is an error. Otherwise it is an error only if everybody may write, and a note if some may.
	strict bool
}

// The words for what a path is, which "show --json" prints.
const (
	aProgram   = "program"
	anArgument = "argument"
	aDirectory = "directory"
	anEnvFile  = "env-file"
	aWritable  = "writable"
	aSocket    = "listen"
)

// unsafePath is a guarded path that others may change, as "show --json" prints it.
type unsafePath struct {
	What    string       `json:"what"`
	Path    string       `json:"path"`
	Writers []pathWriter `json:"writers"`
	// tolerated is noted, and refused nowhere.
	tolerated bool
}

// pathWriter is somebody who may write Path, a part of the way to the unsafe path.
type pathWriter struct {
	Path   string       `json:"path"`
	Reason trust.Reason `json:"reason"`
	// Name is the user or the group, Users are the members of the group.
	Name  string   `json:"name,omitempty"`
	Users []string `json:"users,omitempty"`
}

// guard finds out who may change the paths of one app.
type guard struct {
	e       *env
	app     units.App
	who     identity
	checker trust.Checker
	trusted []int
	caller  int
	// byCaller: a path is safe because the caller alone may change it.
	byCaller bool
	// silent: nothing is noted.
	silent bool
}

// caller is the user who gives the command: by sudo or by itself.
func (e *env) caller() int {
	if uid, err := strconv.Atoi(e.getenv("SUDO_UID")); err == nil && e.euid == 0 {
		return uid
	}
	return e.uid
}

func (e *env) newGuard(a units.App) (*guard, error) {
	g := &guard{e: e, app: a, caller: e.caller()}
	var err error
	if g.who, err = identify(a.RunAs); err != nil {
		return nil, err
	}
	accounts, err := trust.ReadAccounts("/etc")
	if err != nil {
		return nil, err
	}
	g.checker.Accounts = accounts.With(g.who.uid, g.who.gids...)
	for _, name := range a.Trust {
		u, err := lookupUser(name)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("trust: there is no user %q", name), "getent passwd lists the users")
		}
		uid, _ := strconv.Atoi(u.Uid)
		g.trusted = append(g.trusted, uid)
	}
	return g, nil
}

// root says whether the app runs as root.
func (g *guard) root() bool { return g.who.uid == 0 }

// paths are all that matter, in the order in which an administrator would look at them.
func (g *guard) paths() []guarded {
	a, root := g.app, g.root()
	var list []guarded
	for _, p := range a.Programs() {
		list = append(list, guarded{what: aProgram, path: p, scope: trust.Contents, worker: !root, strict: root})
	}
	if root {
		list = append(list, g.obeyedByRoot()...)
	}
	if a.Directory != "" {
		scope := trust.Place
		if root {
			scope = trust.Contents
		}
		list = append(list, guarded{what: aDirectory, path: a.Directory, scope: scope, worker: !root, strict: true})
	}
	for _, f := range a.EnvFiles {
		list = append(list, g.envFile(f))
	}
	for _, p := range a.Writable {
		list = append(list, guarded{what: aWritable, path: p, worker: true, strict: true})
	}
	for _, l := range a.Listen {
		if l.Network == units.Unix && filepath.IsAbs(l.Path) { // an abstract socket is in no directory
			// PID 1 makes the socket. A worker that could replace the directory by a link would choose where.
			dir := filepath.Dir(l.Path)
			list = append(list, guarded{what: aSocket, path: dir, worker: dir == filepath.Clean(a.Directory), strict: true})
		}
	}
	return list
}

// envFile: what the workers' user may replace, PID 1 must not read. The shim reads it with no more rights than that user's.
func (g *guard) envFile(f units.EnvFile) guarded {
	return guarded{what: anEnvFile, path: f.Path, scope: trust.Contents, worker: f.ByWorker, strict: !f.ByWorker || g.root()}
}

// obeyedByRoot are the other files that a command of root's runs or reads: interpreters in first lines, files among the
// arguments, and what Node reads beside a script.
func (g *guard) obeyedByRoot() []guarded {
	var list []guarded
	add := func(what, path string) {
		if info, err := os.Stat(path); err == nil && (info.Mode().IsRegular() || info.IsDir()) {
			list = append(list, guarded{what: what, path: path, scope: trust.Contents, strict: true})
		}
	}
	programs := g.app.Programs()
	for _, p := range programs {
		if line := shebang(p); len(line) > 0 {
			if found, err := g.e.lookPath(line[0]); err == nil {
				add(aProgram, found)
			}
		}
	}
	for _, arg := range g.app.Command[1:] {
		if _, v, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
			arg = v
		}
		if arg == "" || strings.HasPrefix(arg, "-") {
			continue
		}
		if !filepath.IsAbs(arg) {
			arg = filepath.Join("/", g.app.Directory, arg)
		}
		if !slices.Contains(programs, arg) && arg != "/" {
			add(anArgument, arg)
		}
	}
	for _, name := range []string{"package.json", "node_modules"} {
		add(anArgument, filepath.Join("/", g.app.Directory, name))
	}
	return list
}

// ask returns who may change a path, without the caller. It notes when the path is safe only because the caller is trusted.
// A path that the caller may not look at has no writers: whoever is not root changes nothing.
func (g *guard) ask(p guarded) ([]trust.Writer, error) {
	found, err := g.writersOf(p)
	if errors.Is(err, fs.ErrPermission) && g.e.euid != 0 {
		return nil, nil
	}
	return found, err
}

func (g *guard) writersOf(p guarded) ([]trust.Writer, error) {
	allowed := func(more ...int) []int {
		list := slices.Concat(g.trusted, more)
		if !p.worker {
			return slices.DeleteFunc(list, func(uid int) bool { return uid == g.who.uid })
		}
		return append(list, g.who.uid)
	}
	found, err := g.checker.Writers(p.path, p.scope, allowed()...)
	if err != nil || len(found) == 0 || g.caller == 0 {
		return found, err
	}
	with, err := g.checker.Writers(p.path, p.scope, allowed(g.caller)...)
	g.byCaller = g.byCaller || len(with) < len(found)
	return with, err
}

// unsafe returns the paths that others may change.
func (g *guard) unsafe() ([]unsafePath, error) {
	list := []unsafePath{}
	for _, p := range g.paths() {
		writers, err := g.ask(p)
		if err != nil {
			return nil, fmt.Errorf("who may change the %s %q: %w", p.what, p.path, fault.Cause(err))
		}
		if len(writers) == 0 {
			continue
		}
		everybody := slices.ContainsFunc(writers, func(w trust.Writer) bool { return w.Reason == trust.Everybody })
		one := unsafePath{What: p.what, Path: p.path, Writers: g.named(writers), tolerated: !p.strict && !everybody}
		if !slices.ContainsFunc(list, func(o unsafePath) bool { return o.What == one.What && o.Path == one.Path }) {
			list = append(list, one)
		}
	}
	return list, nil
}

// named gives writers the names of their accounts.
func (g *guard) named(writers []trust.Writer) []pathWriter {
	list := make([]pathWriter, 0, len(writers))
	for _, w := range writers {
		one := pathWriter{Path: w.Path, Reason: w.Reason}
		switch w.Reason {
		case trust.Owner, trust.ACLUser:
			one.Name = g.checker.Accounts.User(w.ID)
		case trust.Group, trust.ACLGroup:
			one.Name = g.checker.Accounts.Group(w.ID)
		}
		for _, uid := range w.Users {
			one.Users = append(one.Users, g.checker.Accounts.User(uid))
		}
		list = append(list, one)
	}
	return list
}
