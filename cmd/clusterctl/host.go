package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io/fs"
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
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// settle completes an App by looking at the machine: the program's full path, the directory, the user, what readiness
// means. Each choice that the user did not make is told.
func (e *env) settle(a *units.App, f *appFlags) error {
	asked := a.Directory != ""
	var err error
	if a.Directory, err = e.absolutePath(a.Directory); err != nil {
		return err
	}
	info, err := os.Stat(a.Directory)
	switch {
	case err != nil:
		return fault.WithHint(fmt.Errorf("the directory %q: %w", a.Directory, fault.Cause(err)), "mkdir -p %s", text.Shell(a.Directory))
	case !info.IsDir():
		return fmt.Errorf("%q is not a directory", a.Directory)
	}
	if err := e.settleProgram(a); err != nil {
		return err
	}
	if err := e.settleUser(a, f, info); err != nil {
		return err
	}
	if err := checkSocketOwner(a.Socket); err != nil {
		return err
	}
	if err := e.settleAccess(a, asked); err != nil {
		return err
	}
	if err := e.settlePaths(a); err != nil {
		return err
	}
	e.settleHomes(a)
	resolved, err := e.guard().Resolve(*a)
	if err != nil {
		return err
	}
	*a = resolved
	if builtWithActivation(a.Command[0]) {
		if f.activation == activationAuto {
			a.Activation = units.Native
			e.note("activation: native (%s is built with the activation package)", a.Command[0])
		}
		// Its Serve drains on SIGTERM, and knows its requests where the shim can only watch connections.
		a.Shim.NoDrain = f.drain == drainAuto && a.Activation == units.Native || a.Shim.NoDrain
	}
	if f.ready == "" {
		a.Ready = readiness(*a)
	}
	return nil
}

// settlePaths makes the paths that were given absolute, and checks that they exist.
func (e *env) settlePaths(a *units.App) (err error) {
	for i, p := range a.EnvFiles {
		if a.EnvFiles[i].Path, err = e.absolutePath(p.Path); err != nil {
			return err
		}
		if _, err := os.Stat(a.EnvFiles[i].Path); err != nil && !p.Optional {
			return fault.WithHint(fmt.Errorf("the environment file %q: %w", p.Path, fault.Cause(err)), "--env-file=-%s if it may be missing", text.Shell(p.Path))
		}
	}
	for i, p := range a.Writable {
		if a.Writable[i], err = e.absolutePath(p); err != nil {
			return err
		}
		if _, err := os.Stat(a.Writable[i]); err != nil {
			return fault.WithHint(fmt.Errorf("the writable path %q: %w", p, fault.Cause(err)), "mkdir -p %s", text.Shell(a.Writable[i]))
		}
	}
	for i, p := range a.Reads {
		if a.Reads[i], err = e.absolutePath(p); err != nil {
			return err
		}
		if _, err := os.Stat(a.Reads[i]); err != nil {
			return fault.WithHint(fmt.Errorf("the readable path %q: %w", p, fault.Cause(err)), "omit --ro %s", text.Shell(p))
		}
	}
	return nil
}

// settleProgram finds the program as a shell would, from the app's directory.
func (e *env) settleProgram(a *units.App) error {
	program := a.Command[0]
	if !strings.Contains(program, "/") {
		found, err := e.lookPath(program)
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

// settleUser makes the owner of the directory the user of the workers, as long as that is an ordinary user.
func (e *env) settleUser(a *units.App, f *appFlags, dir fs.FileInfo) error {
	if f.runAs == "" {
		st, ok := dir.Sys().(*syscall.Stat_t)
		if !ok || st.Uid == 0 {
			return nil
		}
		u, err := user.LookupId(strconv.Itoa(int(st.Uid)))
		if err != nil {
			return nil
		}
		a.RunAs = units.RunAs{User: u.Username}
		e.offerDynamic(*a, u)
		return nil
	}
	if a.RunAs.User != "" {
		if _, err := guard.LookupUser(a.RunAs.User); err != nil {
			return fault.WithHint(fmt.Errorf("there is no user %q", a.RunAs.User), "adduser --system --group %s, or --run-as dynamic", text.Shell(a.RunAs.User))
		}
	}
	if a.RunAs.Group != "" {
		if _, err := guard.LookupGroup(a.RunAs.Group); err != nil {
			return fault.WithHint(fmt.Errorf("there is no group %q", a.RunAs.Group), "addgroup --system %s", text.Shell(a.RunAs.Group))
		}
	}
	return nil
}

// offerDynamic names the safer user where the owner of the directory is a person, and nothing is said to be written.
func (e *env) offerDynamic(a units.App, owner *user.User) {
	if uid, err := strconv.Atoi(owner.Uid); err != nil || uid < firstLogin || len(a.Writable) > 0 {
		return
	}
	dynamic := guard.Identity{UID: -1}
	if dynamic.BlockedBy(a.Command[0]) == "" && dynamic.BlockedBy(filepath.Join(a.Directory, ".")) == "" {
		e.note("run-as: %s, the owner of %s; if the program writes nothing there, --run-as dynamic is safer", owner.Username, a.Directory)
	}
}

// firstLogin is the first user id that adduser(8) and useradd(8) give to people.
const firstLogin = 1000

// settleAccess checks that the workers' user can reach the program and the directory. A directory that nobody asked
// for and the user cannot enter (/root, as a rule) is replaced by "/".
func (e *env) settleAccess(a *units.App, asked bool) error {
	who, err := guard.Identify(a.RunAs)
	if err != nil {
		return err
	}
	if block := who.BlockedBy(a.Command[0]); block != "" {
		return fault.WithHint(fmt.Errorf("%s cannot reach the program %s: no permission on %s", who.Name, a.Command[0], block),
			"put it under /opt or /srv, or choose the user: --run-as USER")
	}
	block := who.BlockedBy(filepath.Join(a.Directory, "."))
	if block == "" {
		return nil
	}
	if relative := relativeArgument(*a); asked || relative != "" {
		return fault.WithHint(fmt.Errorf("%s cannot enter the directory %s: no permission on %s", who.Name, a.Directory, block),
			"put the app under /opt or /srv, or choose the user: --run-as USER")
	}
	e.note("directory: / (%s cannot enter %s)", who.Name, a.Directory)
	a.Directory = "/"
	return nil
}

// relativeArgument gives the first argument that is a file of the app's directory, for which the directory matters.
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

// readiness finds out whether a native worker will say READY=1: one built with our activation package does, and so do
// two well-known servers. For all others, being executed has to be enough.
func readiness(a units.App) units.Ready {
	if a.Activation != units.Native {
		return units.ReadyExec
	}
	for _, arg := range a.Command[:min(len(a.Command), 3)] {
		if base := filepath.Base(arg); base == "gunicorn" || base == "puma" {
			return units.ReadyNotify
		}
	}
	if builtWithActivation(a.Command[0]) {
		return units.ReadyNotify
	}
	return units.ReadyExec
}

// builtWithActivation reads from a Go program which modules it was built from. One that takes only the handler of
// activation/journald from ours gets no listeners and says no READY=1: the names of functions, which a Go program keeps even
// when it is stripped, tell.
func builtWithActivation(program string) bool {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false
	}
	const ours = "github.com/clusterctl/clusterctl"
	built := info.Main.Path == ours || slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == ours })
	return built && fileContains(program, ours+"/activation.")
}

// fileContains looks for a text anywhere in a file.
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
