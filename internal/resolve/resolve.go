// Package resolve turns a command line or a file into a complete [units.App], with full paths, a user and listeners. Package
// resolve reads the machine, but does not change it. Package resolve prints a note for each value that it chooses.
package resolve

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
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
	Store    *install.Store
	Guard    guard.Guard
	Host     inspect.Host
	Getenv   func(string) string
	Getwd    func() (string, error)
	LookPath func(string) (string, error)
	// Note prints a line for the user.
	Note func(format string, args ...any)
}

// Request is an app as a command line or a file describes it.
type Request struct {
	App   units.App
	Given Given
}

// Given marks the fields that the user has given. The Resolver chooses the other fields. If Given.Directory is set and the
// app has no directory, the app runs in "/".
type Given struct{ Instances, Directory, RunAs, Activation, Ready, Drain bool }

// AllGiven returns a Given with all fields set. Apps from a file need this Given, because the Resolver must not choose their
// fields.
func AllGiven() Given { return Given{true, true, true, true, true, true} }

// App returns the requested app with full paths and with values for the fields that were not given: the number of instances,
// the directory, the user, the paths in homes, the activation and the readiness. App returns an error if the workers cannot
// read the files that they need, or if other users can change these files. App does not set the listeners, see
// [Resolver.Listeners].
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
		err = checkAccounts("run-as", a.RunAs.User, "run-as", a.RunAs.Group, ", or --run-as dynamic")
	} else {
		r.chooseUser(&a, owner)
	}
	if err != nil {
		return a, err
	}
	if err := checkAccounts("socket-user", a.Socket.User, "socket-group", a.Socket.Group, ""); err != nil {
		return a, err
	}
	if err := r.access(&a, q.Given); err != nil {
		return a, err
	}
	if err := r.paths(&a); err != nil {
		return a, err
	}
	r.addHomePaths(&a)
	if a, err = r.Guard.Resolve(a); err != nil {
		return a, err
	}
	withActivation := builtWithActivation(a.Command[0])
	if !q.Given.Activation && withActivation {
		a.Activation = units.Native
		r.Note("activation: native (%s is built with the activation package)", a.Command[0])
	}
	if !q.Given.Drain {
		// activation.Serve drains when it gets SIGTERM. This drain is better than the drain of the shim, because
		// activation.Serve knows which connections have a request.
		a.Shim.NoDrain = a.Activation == units.Native && withActivation
	}
	if !q.Given.Ready {
		a.Ready = readiness(a, withActivation)
	}
	return a, nil
}

// Absolute returns path p as an absolute path. A relative path starts in the working directory.
func (r *Resolver) Absolute(p string) (string, error) {
	if filepath.IsAbs(p) {
		return filepath.Clean(p), nil
	}
	wd, err := r.Getwd()
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("the current directory: %w", fault.Cause(err)), "cd /")
	}
	return filepath.Join(wd, p), nil
}

// The method directory makes the directory of the app absolute, and returns the user ID of the directory's owner. If the app
// has no directory and the user has not asked for this, the method sets the working directory.
func (r *Resolver) directory(a *units.App, given Given) (owner uint32, err error) {
	if a.Directory == "" && given.Directory {
		return 0, nil
	}
	if a.Directory, err = r.Absolute(a.Directory); err != nil {
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

// The method paths makes the environment files, writable paths and readable paths of the app absolute. It returns an error
// if one of these paths does not exist.
func (r *Resolver) paths(a *units.App) (err error) {
	for i, p := range a.EnvFiles {
		if a.EnvFiles[i].Path, err = r.Absolute(p.Path); err != nil {
			return err
		}
		if _, err := os.Stat(a.EnvFiles[i].Path); err != nil && !p.Optional {
			return fault.WithHint(fmt.Errorf("the environment file %q: %w", p.Path, fault.Cause(err)),
				"--env-file=-%s if it may be missing", text.Shell(p.Path))
		}
	}
	for i, p := range a.Writable {
		if a.Writable[i], err = r.Absolute(p); err != nil {
			return err
		}
		if _, err := os.Stat(a.Writable[i]); err != nil {
			return fault.WithHint(fmt.Errorf("the writable path %q: %w", p, fault.Cause(err)), "mkdir -p %s", text.Shell(a.Writable[i]))
		}
	}
	for i, p := range a.Reads {
		if a.Reads[i], err = r.Absolute(p); err != nil {
			return err
		}
		if _, err := os.Stat(a.Reads[i]); err != nil {
			return fault.WithHint(fmt.Errorf("the readable path %q: %w", p, fault.Cause(err)), "omit --ro %s", text.Shell(p))
		}
	}
	return nil
}

// The method program replaces the program of the app by its full path. A name without "/" is found in $PATH, and another
// relative path starts in the directory of the app.
func (r *Resolver) program(a *units.App) error {
	program := a.Command[0]
	if !strings.Contains(program, "/") {
		found, err := r.LookPath(program)
		if err != nil {
			return fault.WithHint(fmt.Errorf("the program %q is not in $PATH", program), "use its full path: -- /full/path/%s", program)
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
		return fault.WithHint(fmt.Errorf("the program %q is not executable", program),
			"chmod +x %s, or add its interpreter: -- node %[1]s", text.Shell(program))
	}
	a.Command = append([]string{program}, a.Command[1:]...)
	return nil
}

// readiness returns ReadyNotify if the workers send READY=1. Workers of a native app send READY=1 if their program is
// gunicorn, puma, or built with the activation package. For other apps, readiness returns ReadyExec.
func readiness(a units.App, withActivation bool) units.Ready {
	if a.Activation != units.Native {
		return units.ReadyExec
	}
	notifies := func(arg string) bool { return filepath.Base(arg) == "gunicorn" || filepath.Base(arg) == "puma" }
	if withActivation || slices.ContainsFunc(a.Command[:min(len(a.Command), 3)], notifies) {
		return units.ReadyNotify
	}
	return units.ReadyExec
}

// builtWithActivation reports whether a Go program is built with our activation package. The program must contain names of
// functions of this package. A stripped program still contains these names. A dependency on our module is not enough,
// because a program that uses only activation/journald does not send READY=1.
func builtWithActivation(program string) bool {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false
	}
	const ours = "github.com/clusterctl/clusterctl"
	built := info.Main.Path == ours || slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == ours })
	if !built {
		return false
	}
	data, err := os.ReadFile(program)
	return err == nil && bytes.Contains(data, []byte(ours+"/activation."))
}
