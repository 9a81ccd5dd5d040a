// Package origin finds the project that a program belongs to: it returns a name for the app, and decides whether two
// descriptions of an app belong to the same project. It reads directories and does not change anything.
package origin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Name returns a name for the app of a program, from the nearest package.json or a directory. It returns "" if no directory
// has a name that is better than the name of the file.
func Name(file string) string {
	dir := filepath.Dir(file)
	for d := dir; !shared(d); d = filepath.Dir(d) {
		if name := PackageName(d); name != "" {
			return name
		}
	}
	return DirectoryName(dir)
}

// DirectoryName returns the last part of a path that names a project, or "".
func DirectoryName(dir string) string {
	for d := filepath.Clean(dir); !shared(d); d = filepath.Dir(d) {
		if base := filepath.Base(d); !Common(base) && !isLayout(base) && !isRelease(filepath.Base(filepath.Dir(d)), base) {
			return base
		}
	}
	return ""
}

// PackageName returns the name in the package.json of a directory without its scope (shop for @acme/shop), or "".
func PackageName(dir string) string {
	path := filepath.Join(dir, "package.json")
	// The file belongs to a user, and this process may run as root.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var p struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(data, &p) != nil {
		return ""
	}
	return p.Name[strings.LastIndexByte(p.Name, '/')+1:]
}

// Common reports whether programs of many projects have this name.
func Common(name string) bool {
	return slices.Contains([]string{"index", "server", "app", "main", "www", "start"}, strings.ToLower(name))
}

// isLayout reports whether a directory has a usual name within a project, such as src or dist.
func isLayout(base string) bool {
	return slices.Contains([]string{
		"bin", "build", "cmd", "current", "debug", "dist", "html", "htdocs", "lib", "out", "public", "release", "src", "target",
	}, strings.ToLower(base)) || isReleases(base)
}

// isReleases reports whether a directory contains one directory for each release, like the directories of Capistrano and
// Deployer.
func isReleases(base string) bool {
	return slices.Contains([]string{"releases", "versions", "builds", "deploys", "deployments", "revisions"}, strings.ToLower(base))
}

// isRelease reports whether a directory contains one release: its parent has a name for releases, or its own name is a
// version, a time or a commit. A short number is not enough, because it may be the name of a customer.
func isRelease(parent, base string) bool {
	version := regexp.MustCompile(`^(v\d+|v?\d+(\.\d+)+([-+.][0-9A-Za-z.]+)?|\d{8}[-_T]?\d{0,6}|\d{14}|[0-9a-f]*\d[0-9a-f]*)$`)
	return isReleases(parent) || version.MatchString(base) && (len(base) >= 7 || strings.ContainsAny(base, "v."))
}

// shared reports whether many projects share a directory: /, /srv, /var/www, a home.
func shared(dir string) bool {
	parent := filepath.Dir(dir)
	return parent == "/" || parent == "/home" || parent == "/var" || parent == "." || system(dir)
}

// system reports whether a path belongs to the machine and not to a project.
func system(path string) bool {
	return slices.ContainsFunc([]string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"}, func(dir string) bool {
		return path == dir || strings.HasPrefix(path, dir+"/")
	})
}
