package apppkg

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// hasControl reports whether a path contains a control character. dpkg stores the paths of a package one per line, and
// would treat a path with a newline as two files.
func hasControl(p string) bool { return strings.ContainsFunc(p, isControl) }

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

func (in Input) checkNames() error {
	for _, f := range in.Files {
		if hasControl(f.Path) || hasControl(f.Link) {
			return &NameError{Path: f.Path}
		}
	}
	return nil
}

// NameError means that the name of a file or the target of a link contains a control character.
type NameError struct{ Path string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q: the name or the link target contains a control character", e.Path)
}

// Hint returns how to fix the error.
func (*NameError) Hint() string { return "rename it, or delete it" }

// fileNotes returns notes about files whose permissions differ on the target, and about links that may be broken there.
func (in Input) fileNotes(local units.App) []string {
	var special, hidden, out []string
	for _, f := range in.Files {
		switch {
		case f.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && f.Mode.IsRegular():
			special = append(special, f.Path)
		case f.Mode.IsRegular() && f.Mode.Perm()&0o044 == 0 && !hasEnvFile(local, f.Path):
			hidden = append(hidden, f.Path)
		case in.leadsOut(f):
			out = append(out, f.Path+" -> "+f.Link)
		}
	}
	var notes []string
	if len(special) > 0 {
		notes = append(notes, "setuid and setgid bits are removed: "+firstNames(special))
	}
	if len(hidden) > 0 {
		notes = append(notes, "only the owner can read these files here, but everyone can read them in a package: "+firstNames(hidden))
	}
	if len(out) > 0 {
		notes = append(notes, "links out of the app's directory may be broken on the target: "+firstNames(out))
	}
	return notes
}

// leadsOut reports whether f is a link in a root whose target is neither in a root nor in a system directory. For a
// relative link out of the app's directory, the result is always true, because this directory has another path on the
// target.
func (in Input) leadsOut(f File) bool {
	if f.Mode&fs.ModeSymlink == 0 || !Contains(in.Roots, f.Path) {
		return false
	}
	if path.IsAbs(f.Link) {
		return !Contains(in.Roots, path.Clean(f.Link)) && !isSystemPath(path.Clean(f.Link))
	}
	return !Contains(in.Roots, path.Join(path.Dir(f.Path), f.Link))
}

// firstNames returns the first three names, and the number of the other names.
func firstNames(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// junkDirs are directories that a package omits without a note: version control and caches.
var junkDirs = []string{".git", ".hg", ".svn", "node_modules/.cache", "__pycache__"}

// secretNames and secretSuffixes are the names and suffixes of files that probably contain secrets. A package omits these
// files, because everyone can read a package.
var (
	secretNames = []string{".env", ".npmrc", ".netrc", ".pgpass", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
		"credentials.json", ".htpasswd",
		".git-credentials", ".pypirc", ".my.cnf"}
	secretSuffixes = []string{".env", ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore"}
)

// Junk reports whether a package omits a file or directory without a note. The parameter rel is the path relative to the
// directory of the app. clusterctl.yaml is omitted, because it may describe other apps, too. Plan adds another
// clusterctl.yaml, which describes only this app.
func Junk(rel string) bool {
	return rel == "clusterctl.yaml" ||
		slices.ContainsFunc(junkDirs, func(d string) bool { return rel == d || strings.HasSuffix(rel, "/"+d) })
}

// Secret reports whether a file with this path probably contains a secret. For files of libraries, Secret returns false,
// because these files are mostly certificates of test suites. The parameter rel is the path relative to the directory of
// the app.
func Secret(rel string) bool {
	if isBelow("/"+rel, "/node_modules") || strings.Contains(rel, "/node_modules/") || strings.Contains(rel, "/site-packages/") {
		return false
	}
	base := path.Base(rel)
	if strings.HasSuffix(base, ".example") || strings.HasSuffix(base, ".sample") || base == "example.env" || base == "sample.env" {
		return false
	}
	return slices.Contains(secretNames, base) || strings.HasPrefix(base, ".env.") ||
		slices.ContainsFunc(secretSuffixes, func(s string) bool { return strings.HasSuffix(base, s) })
}
