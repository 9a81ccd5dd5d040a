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
	// The field From contains the path on this machine. The field To contains the path on the target, below the link
	// "current".
	From, To string
}

// The function home returns the directory of the app on the target. Packages do not use /opt/NAME, /var/lib/NAME and
// /etc/NAME, because these directories may belong to another program with the name of the app, such as docker.
func home(n units.Name) string { return "/opt/clusterctl-apps/" + string(n) }

// The function dist returns the directory into which dpkg unpacks the release. The directory is not in /opt: dpkg would
// remove /opt together with the last package that has files there.
func dist(n units.Name) string { return "/usr/lib/clusterctl-apps/" + string(n) }

func current(n units.Name) string { return home(n) + "/current" }

// stateOf returns the directory for the writable paths of the app. All releases use the same directory.
func stateOf(n units.Name) string { return "/var/lib/clusterctl-apps/" + string(n) }

// The function etc returns the directory for the environment files of the app.
func etc(n units.Name) string { return "/etc/clusterctl-apps/" + string(n) }

// EnvFile returns a path on the target for an environment file.
func EnvFile(n units.Name) string { return etc(n) + "/env" }

// systemDirs are directories that do not contain apps, except for /usr/local.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run", "/boot"}

// isBelow reports whether p is dir or a path in dir.
func isBelow(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// isSystemPath reports whether a path is in a system directory. It returns false for paths in /usr/local.
func isSystemPath(p string) bool {
	return !isBelow(p, "/usr/local") && slices.ContainsFunc(systemDirs, func(d string) bool { return isBelow(p, d) })
}

// The function packable reports whether a directory can be the directory of an app. For example, it returns false for
// /srv and /home/me, which also contain other files.
func packable(dir string) bool {
	least := 2
	if isBelow(dir, "/home") || isBelow(dir, "/usr/local") || isBelow(dir, "/var") {
		least = 3
	}
	return !isSystemPath(dir) && strings.Count(path.Clean(dir), "/") >= least
}

// Roots returns a root for the directory of the app, and a root for its program if the program is neither in this
// directory nor in a system directory. The parameter isFile reports whether a path is a regular file.
func Roots(a units.App, isFile func(string) bool) ([]Root, error) {
	var roots []Root
	if a.Directory != "" && packable(a.Directory) {
		roots = append(roots, Root{From: path.Clean(a.Directory), To: current(a.Name) + "/app"})
	}
	for i, arg := range a.Command {
		if !strings.HasPrefix(arg, "/") || isSystemPath(arg) || !isFile(arg) || Contains(roots, arg) {
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
		if isBelow(p, r.From) {
			return r, strings.TrimPrefix(strings.TrimPrefix(p, r.From), "/"), true
		}
	}
	return Root{}, "", false
}

// DirectoryError means that a script of the app is outside of the app's directory. The package cannot contain the other
// files that the script needs, because they are unknown.
type DirectoryError struct {
	App             units.Name
	File, Directory string
}

func (e *DirectoryError) Error() string {
	return fmt.Sprintf("%s runs %s, which is not in its directory %q: the package would lack other files of the script",
		e.App, e.File, e.Directory)
}

// Hint returns the key to write into clusterctl.yaml.
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
		// On the target, an environment file of the app's directory is in /etc, because it does not belong to a release.
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
	// Put the files that the shim reads as the worker (ByWorker) at the end of the list, because systemd reads the other
	// files first. systemd reads the files in /etc/clusterctl-apps, because only root can change these files.
	byShim := slices.DeleteFunc(slices.Clone(a.EnvFiles), func(f units.EnvFile) bool { return !f.ByWorker })
	a.EnvFiles = append(slices.DeleteFunc(a.EnvFiles, func(f units.EnvFile) bool { return f.ByWorker }), byShim...)
	writable, err := writablePaths(a, roots)
	if err != nil {
		return a, nil, err
	}
	a.Writable = writable
	for _, w := range requiredWritable(a) {
		notes = append(notes, w+" must exist on the target before the install (writable)")
	}
	// On the target, the app is not in a home, and does not need to read paths in homes.
	a.Reads = nil
	return a, notes, nil
}

// envFilePath returns the path on the target of an environment file in the app's directory.
func envFilePath(n units.Name, p string) string { return etc(n) + "/" + path.Base(p) }

// userName returns a name for the user of the app.
func userName(n units.Name) string {
	return strings.NewReplacer(".", "-", "+", "-").Replace(strings.ToLower(string(n)))
}

// In s, replacePath replaces the path in the parameter from with the path in the parameter to, also where a longer path
// begins with the old path. The old path must be at the beginning of s or follow "=", ":" or ",".
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
