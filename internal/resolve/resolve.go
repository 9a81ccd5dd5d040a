// Package resolve completes apps: from the words of a command line, or from a file, to a [units.App] with full paths, a user
// and listeners. It looks at the machine, and tells each choice that the user has not made; it changes nothing.
package resolve

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// Resolver completes apps on one machine.
type Resolver struct {
	Store *install.Store
	Guard guard.Guard
	Host  inspect.Host
	// Getenv, Getwd and LookPath are those of the caller.
	Getenv   func(string) string
	Getwd    func() (string, error)
	LookPath func(string) (string, error)
	// Note is told each choice, in one line.
	Note func(format string, args ...any)
}

// Request is an app as it was described.
type Request struct {
	App   units.App
	Given Given
}

// Given are the fields of an app that are not chosen. An app without a directory that is given runs in "/".
type Given struct{ Instances, Directory, RunAs, Activation, Ready, Drain bool }

// Everything is given by a file.
func Everything() Given { return Given{true, true, true, true, true, true} }

// App returns the app with the fields that were not given: the number of instances that it has now, the directory, the
// program's full path, the user, the paths in homes, the activation, what readiness means. It checks that the workers can
// reach what they need, and that nobody else can change it. The listeners are left to [Resolver.Listeners].
func (r *Resolver) App(q Request) (units.App, error) {
	a := q.App
	if !q.Given.Instances {
		r.keepCount(&a)
	}
	owner, err := r.directory(&a, q.Given)
	if err != nil {
		return a, err
	}
	if err := r.program(&a); err != nil {
		return a, err
	}
	if q.Given.RunAs {
		err = checkUser(a.RunAs)
	} else {
		r.chooseUser(&a, owner)
	}
	if err != nil {
		return a, err
	}
	if err := checkSocketOwner(a.Socket); err != nil {
		return a, err
	}
	if err := r.access(&a, q.Given); err != nil {
		return a, err
	}
	if err := r.paths(&a); err != nil {
		return a, err
	}
	r.homes(&a)
	if a, err = r.Guard.Resolve(a); err != nil {
		return a, err
	}
	withActivation := builtWithActivation(a.Command[0])
	if !q.Given.Activation && withActivation {
		a.Activation = units.Native
		r.Note("activation: native (%s is built with the activation package)", a.Command[0])
	}
	if !q.Given.Drain {
		// activation.Serve drains on SIGTERM, and knows its requests where the shim can only watch connections.
		a.Shim.NoDrain = a.Activation == units.Native && withActivation
	}
	if !q.Given.Ready {
		a.Ready = readiness(a, withActivation)
	}
	return a, nil
}

// absolute returns a path as an absolute one, by the working directory.
func (r *Resolver) absolute(p string) (string, error) { return Absolute(p, r.Getwd) }

// Absolute returns a path as an absolute one, by the working directory that getwd returns.
func Absolute(p string, getwd func() (string, error)) (string, error) {
	if filepath.IsAbs(p) {
		return filepath.Clean(p), nil
	}
	wd, err := getwd()
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("the current directory: %w", fault.Cause(err)), "cd /")
	}
	return filepath.Join(wd, p), nil
}

// directory makes the app's directory absolute, and returns its owner. One that is not given is the working directory.
func (r *Resolver) directory(a *units.App, given Given) (owner uint32, err error) {
	if a.Directory == "" && given.Directory {
		return 0, nil
	}
	if a.Directory, err = r.absolute(a.Directory); err != nil {
		return 0, err
	}
	info, err := os.Stat(a.Directory)
	switch {
	case err != nil:
		return 0, fault.WithHint(fmt.Errorf("the directory %q: %w", a.Directory, fault.Cause(err)), "mkdir -p %s", text.Shell(a.Directory))
	case !info.IsDir():
		return 0, fmt.Errorf("%q is not a directory", a.Directory)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = st.Uid
	}
	return owner, nil
}

// paths makes the paths of the app absolute, and checks that they exist.
func (r *Resolver) paths(a *units.App) (err error) {
	for i, p := range a.EnvFiles {
		if a.EnvFiles[i].Path, err = r.absolute(p.Path); err != nil {
			return err
		}
		if _, err := os.Stat(a.EnvFiles[i].Path); err != nil && !p.Optional {
			return fault.WithHint(fmt.Errorf("the environment file %q: %w", p.Path, fault.Cause(err)), "--env-file=-%s if it may be missing", text.Shell(p.Path))
		}
	}
	for i, p := range a.Writable {
		if a.Writable[i], err = r.absolute(p); err != nil {
			return err
		}
		if _, err := os.Stat(a.Writable[i]); err != nil {
			return fault.WithHint(fmt.Errorf("the writable path %q: %w", p, fault.Cause(err)), "mkdir -p %s", text.Shell(a.Writable[i]))
		}
	}
	for i, p := range a.Reads {
		if a.Reads[i], err = r.absolute(p); err != nil {
			return err
		}
		if _, err := os.Stat(a.Reads[i]); err != nil {
			return fault.WithHint(fmt.Errorf("the readable path %q: %w", p, fault.Cause(err)), "omit --ro %s", text.Shell(p))
		}
	}
	return nil
}

// program finds the program as a shell would, from the app's directory.
func (r *Resolver) program(a *units.App) error {
	program := a.Command[0]
	if !strings.Contains(program, "/") {
		found, err := r.LookPath(program)
		if err != nil {
			return fault.WithHint(fmt.Errorf("the program %q is not in $PATH", program), "give its full path: -- /full/path/%s", program)
		}
		program = found
	}
	if !filepath.IsAbs(program) {
		program = filepath.Join(a.Directory, program)
	}
	program = filepath.Clean(program)
	info, err := os.Stat(program)
	switch {
	case err != nil:
		return fault.WithHint(fmt.Errorf("the program %q: %w", program, fault.Cause(err)), "ls -l %s", text.Shell(filepath.Dir(program)))
	case !info.Mode().IsRegular():
		return fmt.Errorf("the program %q is not a file", program)
	case info.Mode().Perm()&0o111 == 0:
		return fault.WithHint(fmt.Errorf("the program %q is not executable", program), "chmod +x %s, or name its interpreter: -- node %[1]s", text.Shell(program))
	}
	a.Command = append([]string{program}, a.Command[1:]...)
	return nil
}

// chooseUser makes the owner of the directory the user of the workers, unless that is root.
func (r *Resolver) chooseUser(a *units.App, owner uint32) {
	if owner == 0 {
		return
	}
	u, err := user.LookupId(strconv.Itoa(int(owner)))
	if err != nil {
		return
	}
	a.RunAs = units.RunAs{User: u.Username}
	r.offerDynamic(*a, u)
}

// checkUser refuses a user and a group that do not exist.
func checkUser(as units.RunAs) error {
	if as.User != "" {
		if _, err := guard.LookupUser(as.User); err != nil {
			return fault.WithHint(fmt.Errorf("there is no user %q", as.User), "adduser --system --group %s, or --run-as dynamic", text.Shell(as.User))
		}
	}
	if as.Group != "" {
		if _, err := guard.LookupGroup(as.Group); err != nil {
			return fault.WithHint(fmt.Errorf("there is no group %q", as.Group), "addgroup --system %s", text.Shell(as.Group))
		}
	}
	return nil
}

// checkSocketOwner refuses a user and a group that PID 1 could not look up when it creates the socket.
func checkSocketOwner(s units.SocketAccess) error {
	var errs []error
	if s.User != "" {
		if _, err := guard.LookupUser(s.User); err != nil {
			errs = append(errs, fault.WithHint(fmt.Errorf("--socket-user: no such user: %q", s.User), "adduser --system --group %s", text.Shell(s.User)))
		}
	}
	if s.Group != "" {
		if _, err := guard.LookupGroup(s.Group); err != nil {
			errs = append(errs, fault.WithHint(fmt.Errorf("--socket-group: no such group: %q", s.Group), "addgroup --system %s", text.Shell(s.Group)))
		}
	}
	return errors.Join(errs...)
}

// offerDynamic names the safer user if the owner of the directory is a person, and no path is writable.
func (r *Resolver) offerDynamic(a units.App, owner *user.User) {
	if uid, err := strconv.Atoi(owner.Uid); err != nil || uid < firstLogin || len(a.Writable) > 0 {
		return
	}
	dynamic := guard.Identity{UID: -1}
	if dynamic.BlockedBy(a.Command[0]) == "" && dynamic.BlockedBy(filepath.Join(a.Directory, ".")) == "" {
		r.Note("run-as: %s, the owner of %s; if the program writes nothing there, --run-as dynamic is safer", owner.Username, a.Directory)
	}
}

// firstLogin is the first user id that adduser(8) and useradd(8) give to people.
const firstLogin = 1000

// access checks that the workers' user can reach the program and the directory. A directory that was chosen, and that the
// user cannot enter (/root, as a rule), is replaced by "/".
func (r *Resolver) access(a *units.App, given Given) error {
	who, err := guard.Identify(a.RunAs)
	if err != nil {
		return err
	}
	if block := who.BlockedBy(a.Command[0]); block != "" {
		return fault.WithHint(fmt.Errorf("%s cannot reach the program %s: no permission on %s", who.Name, a.Command[0], block),
			"put it under /opt or /srv, or choose the user: --run-as USER")
	}
	block := who.BlockedBy(filepath.Join("/", a.Directory))
	if block == "" {
		return nil
	}
	if given.Directory || relativeArgument(*a) != "" {
		return fault.WithHint(fmt.Errorf("%s cannot enter the directory %s: no permission on %s", who.Name, a.Directory, block),
			"put the app under /opt or /srv, or choose the user: --run-as USER")
	}
	r.Note("directory: / (%s cannot enter %s)", who.Name, a.Directory)
	a.Directory = "/"
	return nil
}

// relativeArgument returns the first argument that is a file of the app's directory, for which the directory matters.
func relativeArgument(a units.App) string {
	i := slices.IndexFunc(a.Command[1:], func(s string) bool {
		if s == "" || strings.HasPrefix(s, "-") || filepath.IsAbs(s) {
			return false
		}
		_, err := os.Stat(filepath.Join(a.Directory, s))
		return err == nil
	})
	if i < 0 {
		return ""
	}
	return a.Command[1+i]
}

// readiness returns whether a native worker will say READY=1: one built with our activation package does, and so do two
// well-known servers. For all others, being executed has to be enough.
func readiness(a units.App, withActivation bool) units.Ready {
	if a.Activation != units.Native {
		return units.ReadyExec
	}
	for _, arg := range a.Command[:min(len(a.Command), 3)] {
		if base := filepath.Base(arg); base == "gunicorn" || base == "puma" {
			return units.ReadyNotify
		}
	}
	if withActivation {
		return units.ReadyNotify
	}
	return units.ReadyExec
}

// builtWithActivation reports whether a Go program is built with our activation package. One that takes only the handler of
// activation/journald from ours gets no listeners and says no READY=1, so the names of functions decide,
// which a Go program keeps even when it is stripped.
func builtWithActivation(program string) bool {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false
	}
	const ours = "github.com/clusterctl/clusterctl"
	built := info.Main.Path == ours || slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == ours })
	return built && fileContains(program, ours+"/activation.")
}

// fileContains reports whether a text is anywhere in a file.
func fileContains(path, text string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	buffer, kept := make([]byte, 1<<20), 0
	for {
		n, err := f.Read(buffer[kept:])
		if bytes.Contains(buffer[:kept+n], []byte(text)) {
			return true
		}
		if err != nil {
			return false
		}
		// It may begin in this part and end in the next.
		kept = copy(buffer, buffer[max(0, kept+n-len(text)+1):kept+n])
	}
}
