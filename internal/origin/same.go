package origin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// Same reports whether an installed app and a new description belong to the same project. This is the case if they have the
// same working directory or the same directory of the program, or if these directories differ only in the release. It is
// also the case if the directories of the installed app no longer exist, and both apps have the same user.
func Same(now, asked units.App) bool {
	a, b := places(now), places(asked)
	switch {
	case len(a) == 0 || len(b) == 0:
		return true // a program of the operating system without a working directory may belong to any project
	case slices.ContainsFunc(a, func(p string) bool {
		return slices.ContainsFunc(b, func(q string) bool { return samePlace(p, q) })
	}):
		return true
	}
	return now.RunAs == asked.RunAs && !slices.ContainsFunc(a, exists)
}

// Place returns the directory that identifies an app, or the program if there is no such directory.
func Place(a units.App) string {
	if all := places(a); len(all) > 0 {
		return all[0]
	}
	return a.Command[0]
}

// The function places returns the working directory of an app and the directory of its program. It omits / and shared
// programs.
func places(a units.App) []string {
	var all []string
	if dir := filepath.Clean(a.Directory); a.Directory != "" && dir != "/" {
		all = append(all, dir)
	}
	for i, word := range a.Command {
		// Skip the value of an option such as --require, which many projects may share.
		if filepath.IsAbs(word) && !isTool(word) && (i == 0 || !strings.HasPrefix(a.Command[i-1], "--")) {
			return append(all, filepath.Dir(filepath.Clean(word)))
		}
	}
	return all
}

// isTool reports whether many projects may share a program: an interpreter, or a tool in a virtual environment or in
// node_modules.
func isTool(path string) bool {
	if system(path) || strings.Contains(path, "/node_modules/") || exists(filepath.Join(filepath.Dir(filepath.Dir(path)), "pyvenv.cfg")) {
		return true
	}
	name := regexp.MustCompile(`^(node|nodejs|bun|deno|python|pypy|ruby|perl|php|java|sh|bash|dash|lua|dotnet)[0-9.]*$`)
	return name.MatchString(filepath.Base(path))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// samePlace reports whether two directories are equal or differ only in the release. It compares the paths as they are, and
// again after it has resolved symbolic links such as "current".
func samePlace(a, b string) bool {
	for _, p := range []string{a, resolvePath(a)} {
		for _, q := range []string{b, resolvePath(b)} {
			if p == q || differInRelease(p, q) {
				return true
			}
		}
	}
	return false
}

func resolvePath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// differInRelease reports whether two paths differ only in the name of a release.
func differInRelease(a, b string) bool {
	p, q := strings.Split(a, "/"), strings.Split(b, "/")
	if len(p) != len(q) {
		return false
	}
	differ := 0
	for i := 1; i < len(p); i++ {
		if p[i] == q[i] {
			continue
		}
		differ++
		if !isRelease(p[i-1], p[i]) || !isRelease(q[i-1], q[i]) {
			return false
		}
	}
	return differ == 1
}
