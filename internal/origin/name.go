// Package origin finds the project of a program: it derives a name for the app from its path, and compares the projects
// of two apps. It only reads directories and files.
package origin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Name returns a name for the app of a program: the name in the nearest package.json, or the name of the project's
// directory, or "" if neither exists.
func Name(file string) string {
	dir := filepath.Dir(file)
	for d := dir; !isShared(d); d = filepath.Dir(d) {
		if name := PackageName(d); name != "" {
			return name
		}
	}
	return DirectoryName(dir)
}

// DirectoryName returns the name of the project's directory in a path, or "". It skips directories within a project, such
// as dist, and directories of releases.
func DirectoryName(dir string) string {
	for d := filepath.Clean(dir); !isShared(d); d = filepath.Dir(d) {
		if base := filepath.Base(d); !Common(base) && !isLayout(base) && !isRelease(filepath.Base(filepath.Dir(d)), base) {
			return base
		}
	}
	return ""
}

// PackageName returns the name in the package.json of a directory, or "". It omits the scope of the name: @acme/shop
// becomes shop.
func PackageName(dir string) string {
	path := filepath.Join(dir, "package.json")
	// A user can write this file, and this process may run as root. Do not read a device or a very large file.
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

// Common reports whether many projects have a program with this name.
func Common(name string) bool {
	return slices.Contains([]string{"index", "server", "app", "main", "www", "start"}, strings.ToLower(name))
}

// isLayout reports whether base is a usual name of a directory within a project, such as src or dist.
func isLayout(base string) bool {
	return slices.Contains([]string{
		"bin", "build", "cmd", "current", "debug", "dist", "html", "htdocs", "lib", "out", "public", "release", "src", "target",
	}, strings.ToLower(base)) || isReleases(base)
}

// isReleases reports whether base is a usual name of a directory with one subdirectory per release, as Capistrano and
// Deployer create them.
func isReleases(base string) bool {
	return slices.Contains([]string{"releases", "versions", "builds", "deploys", "deployments", "revisions"}, strings.ToLower(base))
}

// isRelease reports whether base is the name of a directory with one release. This is the case if the name of its parent is
// a name for releases, or if base is a version, a time or a commit. It returns false for a short number, which may be the
// name of a customer.
func isRelease(parent, base string) bool {
	version := regexp.MustCompile(`^(v\d+|v?\d+(\.\d+)+([-+.][0-9A-Za-z.]+)?|\d{8}[-_T]?\d{0,6}|\d{14}|[0-9a-f]*\d[0-9a-f]*)$`)
	return isReleases(parent) || version.MatchString(base) && (len(base) >= 7 || strings.ContainsAny(base, "v."))
}

// isShared reports whether a directory can contain many projects: /, /srv, /var/www, a home, and directories of
// the system.
func isShared(dir string) bool {
	parent := filepath.Dir(dir)
	return parent == "/" || parent == "/home" || parent == "/var" || parent == "." || system(dir)
}

// system reports whether a path is in a directory of the operating system.
func system(path string) bool {
	return slices.ContainsFunc([]string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"}, func(dir string) bool {
		return path == dir || strings.HasPrefix(path, dir+"/")
	})
}
