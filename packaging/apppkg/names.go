package apppkg

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// hasControl reports whether a path has a control character. dpkg lists the files of a package line by line, so a name with
// a line feed would be two names to it, and it removes what it lists.
func hasControl(p string) bool {
	return strings.ContainsFunc(p, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func (in Input) checkNames() error {
	for _, f := range in.Files {
		if hasControl(f.Path) || hasControl(f.Link) {
			return &NameError{Path: f.Path}
		}
	}
	return nil
}

// NameError is a file that a package cannot hold because of its name, or of where the link leads.
type NameError struct{ Path string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q: the name has a control character, or the target of the link has one", e.Path)
}

// Hint says what to do.
func (*NameError) Hint() string { return "rename it, or delete it" }

// fileNotes names files that will not be on the target what they are here: by their permissions, or by where they lead.
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
		notes = append(notes, "setuid and setgid bits are not kept: "+some(special))
	}
	if len(hidden) > 0 {
		notes = append(notes, "only their owner can read these files here, and everybody can read them in a package: "+some(hidden))
	}
	if len(out) > 0 {
		notes = append(notes, "links out of the app's directory may lead nowhere on the target: "+some(out))
	}
	return notes
}

// leadsOut reports whether a link of the app leads to a file that belongs neither to the app nor to the system. A relative
// link out of the app's directory leads elsewhere on the target, where the directory has another path.
func (in Input) leadsOut(f File) bool {
	if f.Mode&fs.ModeSymlink == 0 || !contains(in.Roots, f.Path) {
		return false
	}
	if path.IsAbs(f.Link) {
		return !contains(in.Roots, path.Clean(f.Link)) && !ofSystem(path.Clean(f.Link))
	}
	return !contains(in.Roots, path.Join(path.Dir(f.Path), f.Link))
}

// some returns the first of many names.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
