package apppkg

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// hasControl reports whether a path contains a control character. dpkg stores the files of a package in a list with one line
// per file, and removes these files later. A name with a newline would be two files in the list.
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

// NameError is the error for a file with a control character in its name or in the target of the link.
type NameError struct{ Path string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q: the name or the link target contains a control character", e.Path)
}

// Hint returns what to do.
func (*NameError) Hint() string { return "rename it, or delete it" }

// fileNotes returns notes about files that change on the target: their permissions, or the targets of links.
func (in Input) fileNotes(here units.App) []string {
	var special, hidden, out []string
	for _, f := range in.Files {
		switch {
		case f.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && f.Mode.IsRegular():
			special = append(special, f.Path)
		case f.Mode.IsRegular() && f.Mode.Perm()&0o044 == 0 && !hasEnvFile(here, f.Path):
			hidden = append(hidden, f.Path)
		case in.leadsOut(f):
			out = append(out, f.Path+" -> "+f.Link)
		}
	}
	var notes []string
	if len(special) > 0 {
		notes = append(notes, "setuid and setgid bits are removed: "+some(special))
	}
	if len(hidden) > 0 {
		notes = append(notes, "only the owner can read these files here, but everyone can read them in a package: "+some(hidden))
	}
	if len(out) > 0 {
		notes = append(notes, "links out of the app's directory may be broken on the target: "+some(out))
	}
	return notes
}

// leadsOut reports whether a link of the app leads to a file that does not belong to the app or the system. A relative link
// out of the directory of the app has another target after the install, because the directory has another path.
func (in Input) leadsOut(f File) bool {
	if f.Mode&fs.ModeSymlink == 0 || !Contains(in.Roots, f.Path) {
		return false
	}
	if path.IsAbs(f.Link) {
		return !Contains(in.Roots, path.Clean(f.Link)) && !ofSystem(path.Clean(f.Link))
	}
	return !Contains(in.Roots, path.Join(path.Dir(f.Path), f.Link))
}

// some returns at most three names, and the number of the other names.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// junkDirs are omitted without a note: version history and caches, which the running app does not need.
var junkDirs = []string{".git", ".hg", ".svn", "node_modules/.cache", "__pycache__"}

// secretNames and secretSuffixes are names of files that look like secrets. Everyone can read the files of a package.
var (
	secretNames = []string{".env", ".npmrc", ".netrc", ".pgpass", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
		"credentials.json", ".htpasswd",
		".git-credentials", ".pypirc", ".my.cnf"}
	secretSuffixes = []string{".env", ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore"}
)

// Junk reports whether a package omits a file or directory. rel is its path in the directory of the app. The package has
// another clusterctl.yaml, because the one of the app may describe other apps, too.
func Junk(rel string) bool {
	return rel == "clusterctl.yaml" ||
		slices.ContainsFunc(junkDirs, func(d string) bool { return rel == d || strings.HasSuffix(rel, "/"+d) })
}

// Secret reports whether the name of a file looks like a secret. Files of libraries do not count: they are mostly
// certificates of test suites.
func Secret(rel string) bool {
	if below("/"+rel, "/node_modules") || strings.Contains(rel, "/node_modules/") || strings.Contains(rel, "/site-packages/") {
		return false
	}
	base := path.Base(rel)
	if strings.HasSuffix(base, ".example") || strings.HasSuffix(base, ".sample") || base == "example.env" || base == "sample.env" {
		return false
	}
	return slices.Contains(secretNames, base) || strings.HasPrefix(base, ".env.") ||
		slices.ContainsFunc(secretSuffixes, func(s string) bool { return strings.HasSuffix(base, s) })
}
