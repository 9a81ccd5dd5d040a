// Package guard checks who may change the files that an app depends on: its program, its directory, its environment files
// and its description. Guard returns an error for files that users other than root and the caller may change. Guard also
// lists the rights that an update of an app adds.
//
// Guard changes no file. The commands ask the user whether an app may get more rights.
package guard

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
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
)

// A guardedPath is a path that root, PID 1 or the workers depend on.
type guardedPath struct {
	what  string
	path  string
	scope trust.Scope
	// The field worker reports whether the workers' user may write to the path.
	worker bool
	// If the field strict is set, every writer is an error, except allowed users. Otherwise only a path that everybody may
	// write is an error.
	strict bool
}

// "show --json" prints these words for the kinds of paths.
const (
	whatProgram   = "program"
	whatArgument  = "argument"
	whatDirectory = "directory"
	whatEnvFile   = "env-file"
	whatWritable  = "writable"
	whatSocket    = "listen"
)

// Guard checks who may change the files that apps depend on.
type Guard struct {
	// Caller is the ID of the user who runs the command, directly or by sudo. Root reports whether the command runs as root.
	Caller int
	Root   bool
	// LookPath finds a program in $PATH.
	LookPath func(string) (string, error)
	// Note prints a line for each environment file that the workers read, and for each tolerated path. Note may be nil.
	Note func(format string, args ...any)
}

type check struct {
	guard   Guard
	app     units.App
	who     Identity
	checker trust.Checker
	trusted []int
	// byCaller reports whether some path is safe only because the writer is the caller.
	byCaller bool
}

func (g Guard) note(format string, args ...any) {
	if g.Note != nil {
		g.Note(format, args...)
	}
}

// CallerName returns the name of the user who runs the command, or the user's number if the user has no name.
func (g Guard) CallerName() string {
	if u, err := LookupUser(strconv.Itoa(g.Caller)); err == nil {
		return u.Username
	}
	return strconv.Itoa(g.Caller)
}

func (g Guard) newCheck(a units.App) (*check, error) {
	c := &check{guard: g, app: a}
	var err error
	if c.who, err = Identify(a.RunAs); err != nil {
		return nil, err
	}
	accounts, err := trust.ReadAccounts("/etc")
	if err != nil {
		return nil, err
	}
	c.checker.Accounts = accounts.With(c.who.UID, c.who.GIDs...)
	for _, name := range a.Trust {
		u, err := LookupUser(name)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("trust: there is no user %q", name), "getent passwd lists the users")
		}
		uid, _ := strconv.Atoi(u.Uid)
		c.trusted = append(c.trusted, uid)
	}
	return c, nil
}

// Resolve returns the app with the fields EnvFiles and Trust set. It decides who reads each environment file, and adds the
// caller to the trusted users if a path is safe only because the caller is the writer. Resolve returns an error if other
// users may change a path of the app.
func (g Guard) Resolve(a units.App) (units.App, error) {
	c, unsafe, err := g.evaluate(a)
	if err != nil {
		return a, err
	}
	var errs []error
	for _, p := range unsafe {
		if p.tolerated {
			g.note("%s: %s: %s", p.Noun(), p.Path, p.Who())
			continue
		}
		errs = append(errs, c.refuse(p))
	}
	return c.resolvedApp(), errors.Join(errs...)
}

// The method evaluate decides who reads each environment file of an app. It returns the check with these decisions, and the
// unsafe paths.
func (g Guard) evaluate(a units.App) (*check, []UnsafePath, error) {
	c, err := g.newCheck(a)
	if err == nil {
		err = c.resolveEnvFiles()
	}
	if err != nil {
		return nil, nil, err
	}
	unsafe, err := c.unsafePaths()
	return c, unsafe, err
}

// Preview returns the same app as [Guard.Resolve], but prints no notes. If Resolve would fail, Preview returns the app
// unchanged.
func (g Guard) Preview(a units.App) units.App {
	g.Note = nil
	c, _, err := g.evaluate(a)
	if err != nil {
		return a
	}
	return c.resolvedApp()
}

// resolvedApp returns the app that was checked, with the decisions about its environment files. If a path is safe
// only because the caller is the writer, it adds the caller to the field Trust, so that a later reload by another user or by
// systemd accepts the path, too.
func (c *check) resolvedApp() units.App {
	a := c.app
	if name := c.guard.CallerName(); c.byCaller && !slices.Contains(a.Trust, name) {
		a.Trust = append(slices.Clone(a.Trust), name)
	}
	return a
}

// StillSafe returns an error if other users may now change a path that the app depends on. The parameter source is the path
// of the app's description.
func (g Guard) StillSafe(a units.App, source string) error {
	if len(a.Command) == 0 {
		return nil // "clusterctl generate" has written the units, and there is no description
	}
	c, err := g.newCheck(a)
	if err != nil {
		return err
	}
	unsafe, err := c.unsafePaths()
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range unsafe {
		if p.tolerated {
			continue
		}
		err := c.refuse(p)
		if p.What == whatEnvFile && c.mayRead(p.Path) && !c.root() {
			// Either an older clusterctl has installed the app, or the file has a new owner. In both cases, "apply" makes
			// the shim read the file.
			err = fault.WithHint(err, "sudo clusterctl apply -f %s", text.Shell(source))
		}
		errs = append(errs, &fault.NotReached{Err: err})
	}
	return errors.Join(errs...)
}

// Unsafe returns the paths for which an install of the app would return an error. Unsafe omits paths that the caller may not
// read.
func (g Guard) Unsafe(a units.App) []UnsafePath {
	c, err := g.newCheck(a)
	if err != nil {
		return nil
	}
	all, err := c.unsafePaths()
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(p UnsafePath) bool { return p.tolerated })
}

func (c *check) root() bool { return c.who.UID == 0 }

func (c *check) paths() []guardedPath {
	a, root := c.app, c.root()
	var list []guardedPath
	for _, p := range a.Programs() {
		list = append(list, guardedPath{what: whatProgram, path: p, scope: trust.Contents, worker: !root, strict: root})
	}
	if root {
		list = append(list, c.rootInputs()...)
	}
	if a.Directory != "" {
		scope := trust.Place
		if root {
			scope = trust.Contents
		}
		list = append(list, guardedPath{what: whatDirectory, path: a.Directory, scope: scope, worker: !root, strict: true})
	}
	for _, f := range a.EnvFiles {
		list = append(list, c.envFile(f))
	}
	for _, p := range a.Writable {
		list = append(list, guardedPath{what: whatWritable, path: p, worker: true, strict: true})
	}
	for _, l := range a.Listen {
		if l.Network == units.Unix && filepath.IsAbs(l.Path) { // an abstract socket is in no directory
			// A worker that can replace this directory by a link could choose where PID 1 creates the socket.
			dir := filepath.Dir(l.Path)
			list = append(list, guardedPath{what: whatSocket, path: dir, worker: dir == filepath.Clean(a.Directory), strict: true})
		}
	}
	return list
}

func (c *check) envFile(f units.EnvFile) guardedPath {
	return guardedPath{what: whatEnvFile, path: f.Path, scope: trust.Contents, worker: f.ByWorker, strict: !f.ByWorker || c.root()}
}

// rootInputs returns files that an app of root runs or reads, but not its programs. These are the interpreters in the first
// lines of the programs, the files among the arguments, and the files that Node reads in the directory of the app.
func (c *check) rootInputs() []guardedPath {
	var list []guardedPath
	add := func(what, path string) {
		if info, err := os.Stat(path); err == nil && (info.Mode().IsRegular() || info.IsDir()) {
			list = append(list, guardedPath{what: what, path: path, scope: trust.Contents, strict: true})
		}
	}
	programs := c.app.Programs()
	for _, p := range programs {
		if line := Shebang(p); len(line) > 0 {
			if found, err := c.guard.LookPath(line[0]); err == nil {
				add(whatProgram, found)
			}
		}
	}
	for _, arg := range c.app.Command[1:] {
		if _, v, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
			arg = v
		}
		if arg == "" || strings.HasPrefix(arg, "-") {
			continue
		}
		if !filepath.IsAbs(arg) {
			arg = filepath.Join("/", c.app.Directory, arg)
		}
		if !slices.Contains(programs, arg) && arg != "/" {
			add(whatArgument, arg)
		}
	}
	for _, name := range []string{"package.json", "node_modules"} {
		add(whatArgument, filepath.Join("/", c.app.Directory, name))
	}
	return list
}

// writers returns who may change a path, except root and the caller. writers sets byCaller if the path is safe only because
// the caller is the writer. For a path that the caller may not read, writers returns nil, because a caller without root
// cannot install the app anyway.
func (c *check) writers(p guardedPath) ([]trust.Writer, error) {
	found, err := c.writersOf(p)
	if errors.Is(err, fs.ErrPermission) && !c.guard.Root {
		return nil, nil
	}
	return found, err
}

func (c *check) writersOf(p guardedPath) ([]trust.Writer, error) {
	allowed := func(more ...int) []int {
		list := slices.Concat(c.trusted, more)
		if !p.worker {
			return slices.DeleteFunc(list, func(uid int) bool { return uid == c.who.UID })
		}
		return append(list, c.who.UID)
	}
	found, err := c.checker.Writers(p.path, p.scope, allowed()...)
	if err != nil || len(found) == 0 || c.guard.Caller == 0 {
		return found, err
	}
	with, err := c.checker.Writers(p.path, p.scope, allowed(c.guard.Caller)...)
	c.byCaller = c.byCaller || len(with) < len(found)
	return with, err
}

// unsafePaths returns the paths that other users may change.
func (c *check) unsafePaths() ([]UnsafePath, error) {
	list := []UnsafePath{}
	for _, p := range c.paths() {
		writers, err := c.writers(p)
		if err != nil {
			return nil, fmt.Errorf("checking who may change the %s %q: %w", p.what, p.path, fault.Cause(err))
		}
		if len(writers) == 0 {
			continue
		}
		everybody := slices.ContainsFunc(writers, func(w trust.Writer) bool { return w.Reason == trust.Everybody })
		one := UnsafePath{What: p.what, Path: p.path, Writers: c.withNames(writers), tolerated: !p.strict && !everybody}
		if !slices.ContainsFunc(list, func(o UnsafePath) bool { return o.What == one.What && o.Path == one.Path }) {
			list = append(list, one)
		}
	}
	return list, nil
}

// withNames returns the writers with the names of their users and groups.
func (c *check) withNames(writers []trust.Writer) []Writer {
	list := make([]Writer, 0, len(writers))
	for _, w := range writers {
		one := Writer{Path: w.Path, Reason: w.Reason}
		switch w.Reason {
		case trust.Owner, trust.ACLUser:
			one.Name = c.checker.Accounts.User(w.ID)
		case trust.Group, trust.ACLGroup:
			one.Name = c.checker.Accounts.Group(w.ID)
		}
		for _, uid := range w.Users {
			one.Users = append(one.Users, c.checker.Accounts.User(uid))
		}
		list = append(list, one)
	}
	return list
}
