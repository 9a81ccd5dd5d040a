package resolve

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/origin"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// Interpreter has the values of --interpreter, --interpreter-args and --node-args.
type Interpreter struct {
	Program, Args, NodeArgs string
}

// Invocation has the app name, the command line and the directory that "install" uses for a target.
type Invocation struct {
	Name      string
	Command   []string
	Directory string
}

// Interpreters returns the interpreters for the extension of a file, as in PM2, or nil. The caller uses the first
// interpreter that is installed.
func Interpreters(ext string) []string {
	return map[string][]string{
		".js": {"node"}, ".cjs": {"node"}, ".mjs": {"node"}, ".ts": {"bun"}, ".tsx": {"bun"}, ".py": {"python3", "python"},
		".sh": {"bash", "sh"}, ".rb": {"ruby"}, ".php": {"php"}, ".pl": {"perl"}, ".coffee": {"coffee"}, ".ls": {"lsc"},
	}[ext]
}

// Invocation returns the name, the command and the directory for a target of "install". The parameter rest has the words
// after "--". If the target is a file, these words are its arguments. If the target is a name, these words are the command.
func (r *Resolver) Invocation(target string, rest []string, f Interpreter) (Invocation, error) {
	info, err := os.Stat(target)
	isPath := err == nil && (info.IsDir() || strings.ContainsAny(target, "/.") || len(rest) == 0)
	switch {
	case isPath && info.IsDir() && len(rest) == 0:
		return r.directoryInvocation(target, f)
	case isPath && info.Mode().IsRegular():
		return r.fileInvocation(target, rest, f)
	case len(rest) > 0:
		if f != (Interpreter{}) {
			return Invocation{}, fault.WithHint(fault.Usagef("--interpreter and its arguments need a FILE"),
				"write the interpreter after --")
		}
		return Invocation{Name: target, Command: rest}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Invocation{}, fmt.Errorf("%q: %w", target, fault.Cause(err))
	}
	return Invocation{}, fault.WithHint(fault.Usagef("%q: no such file, and missing program after --", target),
		"clusterctl install app.js, or clusterctl install %s -- /full/path/program", text.Shell(AppName(target)))
}

// AppName returns an app name for a path: the last element of the path without the extension, with invalid characters
// replaced.
func AppName(path string) string {
	base := filepath.Base(path)
	if ext := filepath.Ext(base); Interpreters(ext) != nil {
		base = strings.TrimSuffix(base, ext)
	}
	if _, err := units.ParseName(base); err != nil {
		return cmp.Or(units.NearestName(base), base)
	}
	return base
}

// nameFor returns an app name for the path of a program. For a common file name such as server.js, nameFor returns the name
// of the project. If an app with the name of the file is already installed from this project, nameFor returns the name of
// the file instead.
func (r *Resolver) nameFor(path string) string {
	name := AppName(path)
	if !origin.Common(strings.TrimSuffix(name, filepath.Ext(name))) {
		return name
	}
	asked := units.App{Directory: filepath.Dir(path), Command: []string{path}}
	if now, err := r.Store.Load(units.Name(name)); err == nil && origin.Same(now, asked) {
		return name
	}
	if project, err := units.ParseName(AppName(origin.Name(path))); err == nil {
		return string(project)
	}
	return name
}

func (r *Resolver) fileInvocation(target string, args []string, f Interpreter) (Invocation, error) {
	path, err := r.Absolute(target)
	if err != nil {
		return Invocation{}, err
	}
	inv := Invocation{Name: r.nameFor(path), Directory: filepath.Dir(path)}
	prefix, err := r.interpreter(path, f)
	inv.Command = slices.Concat(prefix, []string{path}, args)
	return inv, err
}

// The method interpreter returns the words before a script in its command: the interpreter and its arguments. The
// interpreter is from --interpreter, from the extension of the script, or from its "#!" line. The result is nil if the
// script needs no interpreter.
func (r *Resolver) interpreter(path string, f Interpreter) ([]string, error) {
	words := append(strings.Fields(f.Args), strings.Fields(f.NodeArgs)...)
	candidates := Interpreters(filepath.Ext(path))
	switch {
	case f.Program == "none":
		return nil, nil
	case f.Program != "":
		candidates = []string{f.Program}
	case candidates == nil:
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		line := guard.Shebang(path)
		if info.Mode().Perm()&0o111 != 0 || len(line) == 0 {
			// The kernel can run an executable file without an interpreter. For other files, [Resolver.program] returns an
			// error.
			if len(words) > 0 {
				return nil, fault.WithHint(fault.Usagef("%s runs without an interpreter, so interpreter arguments cannot be used", path),
					"add --interpreter NAME")
			}
			return nil, nil
		}
		candidates, words = line[:1], append(line[1:], words...)
	}
	found, err := r.findInterpreter(candidates)
	if err != nil {
		return nil, err
	}
	return append([]string{found}, words...), nil
}

// findInterpreter returns the path of the first program in names that is in $PATH. If no program is in $PATH,
// findInterpreter searches the directories of version managers such as nvm, because sudo removes these directories from
// $PATH.
func (r *Resolver) findInterpreter(names []string) (string, error) {
	for _, n := range names {
		if p, err := r.LookPath(n); err == nil {
			return r.Absolute(p)
		}
	}
	for _, n := range names {
		if p := r.inVersionManagers(n); p != "" {
			r.Note("%s: %s (from a version manager)", n, p)
			return p, nil
		}
	}
	return "", fault.WithHint(fmt.Errorf("%s is not in $PATH", strings.Join(names, " or ")),
		"install it, or use its full path: --interpreter /full/path/%s", names[0])
}

// inVersionManagers returns the path of a program that a version manager has installed in the home of the user, or "".
func (r *Resolver) inVersionManagers(name string) string {
	home := r.Getenv("HOME")
	if who := r.Getenv("SUDO_USER"); who != "" {
		if u, err := guard.LookupUser(who); err == nil {
			home = u.HomeDir
		}
	}
	if home == "" || strings.ContainsAny(name, "/*?[") {
		return ""
	}
	if p := nvmDefault(home, name); p != "" {
		return p
	}
	for _, pattern := range []string{
		".nvm/versions/node/*/bin", ".volta/bin", ".asdf/shims", ".local/share/fnm/aliases/default/bin",
		".local/share/fnm/node-versions/*/installation/bin", ".bun/bin", ".deno/bin", ".pyenv/shims", ".rbenv/shims",
	} {
		if p := newest(filepath.Join(home, pattern, name)); p != "" {
			return p
		}
	}
	return ""
}

// nvmDefault returns the path of a program in the version that is the default of nvm, or "".
func nvmDefault(home, name string) string {
	data, err := os.ReadFile(filepath.Join(home, ".nvm/alias/default"))
	if err != nil {
		return ""
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(data)), "v")
	return newest(filepath.Join(home, ".nvm/versions/node", "v"+version+"*", "bin", name))
}

// The function newest returns the path with the highest version among all paths that match a pattern. It returns "" if no
// path matches.
func newest(pattern string) string {
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, compareVersions)
}

var digits = regexp.MustCompile(`[0-9]+`)

// compareVersions compares two paths. compareVersions compares digits as numbers, so v9 is less than v10.
func compareVersions(a, b string) int {
	padded := func(path string) string {
		return digits.ReplaceAllStringFunc(path, func(n string) string { return strings.Repeat("0", max(0, 20-len(n))) + n })
	}
	return strings.Compare(padded(a), padded(b))
}
