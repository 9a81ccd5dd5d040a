package apppkg

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// Root is a directory or a file of this machine that becomes part of each release.
type Root struct {
	// From is its path here, To where it is on the target, by way of the link "current".
	From, To string
}

// The directories of the packages of apps. /opt/NAME, /var/lib/NAME and /etc/NAME may belong to a program of that name,
// such as docker.
const (
	optDir   = "/opt/clusterctl-apps"
	distDir  = "/usr/lib/clusterctl-apps"
	stateDir = "/var/lib/clusterctl-apps"
	etcDir   = "/etc/clusterctl-apps"
)

// home is where the app is on the target.
func home(n units.Name) string { return optDir + "/" + string(n) }

// dist is where dpkg unpacks to. It is not below /opt: that directory is on every Debian and of no package, so that dpkg
// would remove it with the last one that is in it.
func dist(n units.Name) string { return distDir + "/" + string(n) }

func current(n units.Name) string { return home(n) + "/current" }

// stateOf is where the parts of the app's directory that it writes to are kept, from release to release.
func stateOf(n units.Name) string { return stateDir + "/" + string(n) }

// etc is where the app's files of variables are.
func etc(n units.Name) string { return etcDir + "/" + string(n) }

// EnvFile proposes where an app's file of variables is on the target.
func EnvFile(n units.Name) string { return etc(n) + "/env" }

// formerHome, formerState and formerEtc are the directories that packages of an earlier clusterctl used. An upgrade from
// such a package keeps its data where it is, and its paths working.
func formerHome(n units.Name) string  { return "/opt/" + string(n) }
func formerState(n units.Name) string { return "/var/lib/" + string(n) }
func formerEtc(n units.Name) string   { return "/etc/" + string(n) }

// systemDirs hold what comes from packages, or belongs to the machine and not to an app.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run", "/boot"}

// below says whether p is dir or in it.
func below(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// ofSystem says whether a path is not an app's; /usr/local is.
func ofSystem(p string) bool {
	return !below(p, "/usr/local") && slices.ContainsFunc(systemDirs, func(d string) bool { return below(p, d) })
}

// packable says whether a directory is an app's own, and not one in which many things are.
func packable(dir string) bool {
	least := 2
	if below(dir, "/home") || below(dir, "/usr/local") || below(dir, "/var") {
		least = 3
	}
	return !ofSystem(dir) && strings.Count(path.Clean(dir), "/") >= least
}

// Roots finds what of this machine belongs to the app: its directory, and programs that come from no package. isFile says
// whether there is a regular file of that path.
func Roots(a units.App, isFile func(string) bool) ([]Root, error) {
	var roots []Root
	if a.Directory != "" && packable(a.Directory) {
		roots = append(roots, Root{From: path.Clean(a.Directory), To: current(a.Name) + "/app"})
	}
	for i, arg := range a.Command {
		if !strings.HasPrefix(arg, "/") || ofSystem(arg) || !isFile(arg) || contains(roots, arg) {
			continue
		}
		if i > 0 {
			return nil, &DirectoryError{App: a.Name, File: arg, Directory: a.Directory}
		}
		roots = append(roots, Root{From: path.Clean(arg), To: current(a.Name) + "/bin/" + path.Base(arg)})
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("nothing of %s would be in the package: its directory is %q and its program %q", a.Name,
			a.Directory, a.Command[0])
	}
	return roots, nil
}

func contains(roots []Root, p string) bool {
	return slices.ContainsFunc(roots, func(r Root) bool { return below(p, r.From) })
}

// DirectoryError is a script that stands beside other files that it may need, of which nothing says that they belong to
// the app.
type DirectoryError struct {
	App             units.Name
	File, Directory string
}

func (e *DirectoryError) Error() string {
	return fmt.Sprintf("%s runs %s, which is not below its directory %q: what belongs to it is not known", e.App, e.File, e.Directory)
}

// Hint says what to write.
func (e *DirectoryError) Hint() string {
	return "write into the file of the app: directory: " + path.Dir(e.File)
}

// relocate gives the app as it is on the target, and tells what has changed.
func relocate(a units.App, roots []Root) (units.App, []string, error) {
	var notes []string
	move := func(s string) string {
		for _, r := range roots {
			s = replacePath(s, r.From, r.To)
		}
		return s
	}
	a.Command = slices.Clone(a.Command)
	for i, arg := range a.Command {
		a.Command[i] = move(arg)
	}
	a.Env = slices.Clone(a.Env)
	for i, e := range a.Env {
		if to := move(e.Value); to != e.Value {
			notes = append(notes, fmt.Sprintf("env %s is %s there", e.Name, to))
			a.Env[i].Value = to
		}
	}
	if a.Directory != "" {
		a.Directory = move(path.Clean(a.Directory))
	}
	a.EnvFiles = slices.Clone(a.EnvFiles)
	for i, f := range a.EnvFiles {
		// A file of variables is the machine's, not the release's: it is where an administrator looks for it.
		if contains(roots, f.Path) {
			a.EnvFiles[i].Path, a.EnvFiles[i].ByWorker = envFilePath(a.Name, f.Path), false
		}
		if other := slices.IndexFunc(a.EnvFiles[:i], func(e units.EnvFile) bool { return e.Path == a.EnvFiles[i].Path }); other >= 0 {
			return a, nil, &units.FieldError{Key: "env-files", Index: -1,
				Message: fmt.Sprintf("two of them become %s on the target", a.EnvFiles[i].Path), Hint: "rename one of them"}
		}
		if !f.Optional {
			notes = append(notes, a.EnvFiles[i].Path+" has to be there before it is installed (env-files), unless it is included")
		}
	}
	// Only root may change the files that moved, so systemd reads them, and before all files that the shim reads.
	slices.SortStableFunc(a.EnvFiles, func(x, y units.EnvFile) int {
		switch {
		case x.ByWorker == y.ByWorker:
			return 0
		case x.ByWorker:
			return 1
		}
		return -1
	})
	writable, err := writablePaths(a, roots)
	if err != nil {
		return a, nil, err
	}
	a.Writable = writable
	for _, w := range foreignWritable(a) {
		notes = append(notes, w+" must be there before the package is installed, for the workers to write to (writable)")
	}
	// What is visible of a home here is not there: an app that comes with a package lies outside of all homes.
	a.Reads = nil
	return a, notes, nil
}

// envFilePath is where a file of variables that is here in the app's directory belongs on the target.
func envFilePath(n units.Name, p string) string { return etc(n) + "/" + path.Base(p) }

// userName proposes a system user.
func userName(n units.Name) string {
	return strings.NewReplacer(".", "-", "+", "-").Replace(strings.ToLower(string(n)))
}

// inRoot gives a path below one of the directories, relative to it.
func inRoot(p string, roots []Root) (string, bool) {
	for _, r := range roots {
		if below(path.Clean(p), r.From) {
			return strings.TrimPrefix(strings.TrimPrefix(path.Clean(p), r.From), "/"), true
		}
	}
	return "", false
}

// replacePath replaces a path where it stands as one: alone, with more of it behind, or after "=", ":" or "," in an
// argument.
func replacePath(s, from, to string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, from)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := i + len(from)
		begins := i == 0 || strings.IndexByte("=:,", s[i-1]) >= 0
		ends := end == len(s) || strings.IndexByte("/:,", s[end]) >= 0
		b.WriteString(s[:i])
		if begins && ends {
			b.WriteString(to)
		} else {
			b.WriteString(from)
		}
		s = s[end:]
	}
}
