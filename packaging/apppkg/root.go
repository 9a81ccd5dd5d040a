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
	// From is its path here. To is its path on the target, which contains the link "current".
	From, To string
}

// The directories of the packages of apps. /opt/NAME, /var/lib/NAME and /etc/NAME may belong to another program with the
// name of the app, such as docker.
const (
	optDir   = "/opt/clusterctl-apps"
	distDir  = "/usr/lib/clusterctl-apps"
	stateDir = "/var/lib/clusterctl-apps"
	etcDir   = "/etc/clusterctl-apps"
)

// home returns the directory of the app on the target.
func home(n units.Name) string { return optDir + "/" + string(n) }

// dist returns the directory into which dpkg unpacks. It is not in /opt: no Debian package owns /opt, so dpkg would remove
// /opt with the last package that has files there.
func dist(n units.Name) string { return distDir + "/" + string(n) }

func current(n units.Name) string { return home(n) + "/current" }

// stateOf returns the directory for the writable paths of the app, which all releases share.
func stateOf(n units.Name) string { return stateDir + "/" + string(n) }

// etc returns the directory for the environment files of the app.
func etc(n units.Name) string { return etcDir + "/" + string(n) }

// EnvFile returns a path for an environment file on the target.
func EnvFile(n units.Name) string { return etc(n) + "/env" }

// systemDirs are directories of packages and of the machine, not of apps.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run", "/boot"}

// below reports whether p is dir or in dir.
func below(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// ofSystem reports whether a path is in a system directory. /usr/local is not one.
func ofSystem(p string) bool {
	return !below(p, "/usr/local") && slices.ContainsFunc(systemDirs, func(d string) bool { return below(p, d) })
}

// packable reports whether a directory can belong to one app. /srv and /home/me contain many things, for example.
func packable(dir string) bool {
	least := 2
	if below(dir, "/home") || below(dir, "/usr/local") || below(dir, "/var") {
		least = 3
	}
	return !ofSystem(dir) && strings.Count(path.Clean(dir), "/") >= least
}

// Roots returns the directory of the app, and its program if the program is not in a system directory. isFile reports
// whether a path is a regular file.
func Roots(a units.App, isFile func(string) bool) ([]Root, error) {
	var roots []Root
	if a.Directory != "" && packable(a.Directory) {
		roots = append(roots, Root{From: path.Clean(a.Directory), To: current(a.Name) + "/app"})
	}
	for i, arg := range a.Command {
		if !strings.HasPrefix(arg, "/") || ofSystem(arg) || !isFile(arg) || Contains(roots, arg) {
			continue
		}
		if i > 0 {
			return nil, &DirectoryError{App: a.Name, File: arg, Directory: a.Directory}
		}
		roots = append(roots, Root{From: path.Clean(arg), To: current(a.Name) + "/bin/" + path.Base(arg)})
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("the package of %s would be empty: its directory is %q and its program %q", a.Name,
			a.Directory, a.Command[0])
	}
	return roots, nil
}

// Contains reports whether a path is in one of the roots.
func Contains(roots []Root, p string) bool {
	_, _, ok := rootOf(p, roots)
	return ok
}

// rootOf returns the root that contains a path, and the path relative to this root.
func rootOf(p string, roots []Root) (_ Root, rel string, ok bool) {
	for _, r := range roots {
		if below(p, r.From) {
			return r, strings.TrimPrefix(strings.TrimPrefix(p, r.From), "/"), true
		}
	}
	return Root{}, "", false
}

// DirectoryError is the error for a script outside the directory of the app: the script may need other files there.
type DirectoryError struct {
	App             units.Name
	File, Directory string
}

func (e *DirectoryError) Error() string {
	return fmt.Sprintf("%s runs %s, which is not in its directory %q: its other files are unknown", e.App, e.File, e.Directory)
}

// Hint returns what to write into the file.
func (e *DirectoryError) Hint() string {
	return "write into the file that describes the app: directory: " + path.Dir(e.File)
}

// relocate returns the app with the paths of the target, and notes about the changes.
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
			notes = append(notes, fmt.Sprintf("env %s becomes %s on the target", e.Name, to))
			a.Env[i].Value = to
		}
	}
	if a.Directory != "" {
		a.Directory = move(path.Clean(a.Directory))
	}
	a.EnvFiles = slices.Clone(a.EnvFiles)
	for i, f := range a.EnvFiles {
		// An environment file belongs to the machine, not to the release, so it is in /etc.
		if Contains(roots, f.Path) {
			a.EnvFiles[i].Path, a.EnvFiles[i].ByWorker = envFilePath(a.Name, f.Path), false
		}
		if other := slices.IndexFunc(a.EnvFiles[:i], func(e units.EnvFile) bool { return e.Path == a.EnvFiles[i].Path }); other >= 0 {
			return a, nil, &units.FieldError{Key: "env-files", Index: -1,
				Message: fmt.Sprintf("two files become %s on the target", a.EnvFiles[i].Path), Hint: "rename one of the files"}
		}
		if !f.Optional {
			notes = append(notes, a.EnvFiles[i].Path+" must exist on the target before the install (env-files), unless it is included")
		}
	}
	// systemd reads the files that moved, because only root can change them. It does so before the shim reads the other
	// files.
	byShim := slices.DeleteFunc(slices.Clone(a.EnvFiles), func(f units.EnvFile) bool { return !f.ByWorker })
	a.EnvFiles = append(slices.DeleteFunc(a.EnvFiles, func(f units.EnvFile) bool { return f.ByWorker }), byShim...)
	writable, err := writablePaths(a, roots)
	if err != nil {
		return a, nil, err
	}
	a.Writable = writable
	for _, w := range foreignWritable(a) {
		notes = append(notes, w+" must exist on the target before the install (writable)")
	}
	// On the target, the app is not in a home, so it does not need paths in homes.
	a.Reads = nil
	return a, notes, nil
}

// envFilePath returns the path on the target for an environment file in the directory of the app.
func envFilePath(n units.Name, p string) string { return etc(n) + "/" + path.Base(p) }

// userName returns a name for the user of the app.
func userName(n units.Name) string {
	return strings.NewReplacer(".", "-", "+", "-").Replace(strings.ToLower(string(n)))
}

// replacePath replaces from with to where from is a whole path or the beginning of a longer path. The path may follow "=",
// ":" or ",".
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
