package resolve

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/units"
)

// addHomePaths adds to a.Reads the paths that the workers need in home directories, because the sandbox hides all other
// files there. A link to a path in a home directory counts, too.
func (r *Resolver) addHomePaths(a *units.App) {
	if a.Sandbox == units.SandboxOff || slices.Contains(a.Allow, units.AllowHome) {
		return
	}
	h := homePaths{app: a}
	h.directory(a.Directory)
	if target, _ := guard.Follow(a.Command[0]); guard.Inside(a.Command[0], "/run/user") && !guard.Inside(target, "/run/user") {
		r.Note("program: %s (%s exists only during a login)", target, a.Command[0])
		a.Command[0] = target
	}
	h.program(a.Command[0])
	for _, arg := range a.Command[1:] {
		if _, v, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
			arg = v
		}
		h.argument(arg)
	}
	for _, v := range a.Env {
		if !guard.IsHome(filepath.Clean(v.Value)) {
			h.argument(v.Value)
		}
	}
	for _, p := range slices.Concat(a.Writable, a.Reads) {
		h.addPath(p)
	}
	a.Reads = append(a.Reads, h.found...)
	r.noteHomes(h.visible(), h.unboundLinks)
}

// noteHomes prints which paths in home directories the workers see, and a note for each link in unboundLinks.
func (r *Resolver) noteHomes(visible, unboundLinks []string) {
	if len(visible) == 0 {
		return
	}
	r.Note("home: the workers see %s, but nothing else in /home, /root and /run/user (--ro PATH adds a path)", strings.Join(visible, ", "))
	for _, p := range unboundLinks {
		r.Note("home: %s is a link in a home: systemd follows it at each start; relative links that leave its target do not work", p)
	}
	for _, p := range visible {
		if guard.IsHome(p) {
			r.Note("home: %s is a whole home: common places of keys and passwords are hidden, but a subdirectory is safer", p)
		}
	}
}

// homePaths collects the paths that an app needs in home directories.
type homePaths struct {
	app *units.App
	// The field found has the paths that must be visible in the sandbox. The field unboundLinks has links in a home whose
	// target can change to a path that is not visible.
	found, unboundLinks []string
}

// If a path in a home is not visible yet, the method add appends it to h.found.
func (h *homePaths) add(p string) {
	at, _ := guard.Follow(p)
	for _, s := range h.visible() {
		target, _ := guard.Follow(s)
		if p == s || guard.Inside(p, s) || p == at && (p == target || guard.Inside(p, target)) {
			return
		}
	}
	h.found = append(h.found, p)
}

// The method visible returns the paths in homes that are visible in the sandbox: the readable and found paths, the directory
// and the writable paths.
func (h *homePaths) visible() []string {
	visible := slices.Concat(h.app.Reads, h.found)
	for _, p := range append([]string{h.app.Directory}, h.app.Writable...) {
		if guard.InHome(p) && !slices.Contains(visible, p) {
			visible = append(visible, p)
		}
	}
	return visible
}

// addPath adds a path to h.found if the path is in a home or leads into a home. For each link in a home on the way, addPath
// adds the deepest directory that contains both the link and its target.
func (h *homePaths) addPath(p string) {
	at, links := guard.Follow(p)
	for _, l := range links {
		if !guard.InHome(l.At) {
			continue
		}
		// A deploy may change this link to another target in the same directory, so the directory must be visible.
		if both := commonParent(filepath.Dir(l.At), l.To); guard.InHome(both) && !guard.IsHome(both) {
			h.add(both)
		} else if !slices.Contains(h.unboundLinks, l.At) {
			h.unboundLinks = append(h.unboundLinks, l.At)
		}
	}
	switch {
	case guard.InHome(p):
		h.add(p)
	case guard.InHome(at) && !slices.Contains(h.visible(), p):
		// p is outside of all homes, and links lead from p into a home. PID 1 follows the links at each start.
		h.found = append(h.found, p)
	}
}

// The method directory adds the directory of the app, and the directory of the project that contains it, because programs
// look for modules in parent directories.
func (h *homePaths) directory(d string) {
	at, _ := guard.Follow(d)
	if guard.IsHome(at) {
		h.app.Directory = at // to hide keys and passwords in a home, units.Render needs a path without links
		return
	}
	h.addPath(d)
	if root := project(at); root != at && guard.InHome(root) {
		h.add(root)
	}
}

// The method program adds the path of a program, the libraries that are installed with it, and the interpreter in its "#!"
// line.
func (h *homePaths) program(p string) {
	at, links := guard.Follow(p)
	for _, l := range append(links, guard.Link{At: at}) {
		if guard.InHome(l.At) {
			for _, need := range programPaths(l.At) {
				h.add(need)
			}
		}
	}
	if line := guard.Shebang(p); len(line) > 0 && filepath.IsAbs(line[0]) && line[0] != p {
		h.program(line[0])
	}
}

// The method argument adds an argument that is the absolute path of a file or directory in a home. For a file, the method
// also adds the directory of the project that contains the file.
func (h *homePaths) argument(arg string) {
	if !filepath.IsAbs(arg) {
		return
	}
	at, _ := guard.Follow(arg)
	info, err := os.Stat(arg)
	if err != nil || !guard.InHome(arg) && !guard.InHome(at) {
		return
	}
	if root := project(filepath.Dir(at)); !info.IsDir() && guard.InHome(root) && !guard.IsHome(root) {
		h.add(root)
	}
	h.addPath(arg)
}

// programPaths returns the paths that must be visible to run a program in a home. If libraries are installed next to the
// directory "bin" of the program, programPaths returns the parent of "bin". Otherwise, programPaths returns only the
// program, because directories such as ~/.local and ~/.cargo also contain other files.
func programPaths(program string) []string {
	bin := filepath.Dir(program)
	root := filepath.Dir(bin)
	switch {
	case filepath.Base(bin) == "shims", filepath.Base(root) == ".volta":
		// asdf, pyenv, rbenv and volta install a small program that finds and runs the chosen version.
		return []string{root}
	case filepath.Base(bin) != "bin" || guard.IsHome(root) || !guard.InHome(root):
		return []string{program}
	case filepath.Base(root) == ".local" || filepath.Base(root) == ".cargo":
		lib := filepath.Join(root, "lib")
		if info, err := os.Stat(lib); err == nil && info.IsDir() {
			return []string{program, lib}
		}
		return []string{program}
	}
	for _, name := range []string{"lib", "include", "pyvenv.cfg"} {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			return []string{root}
		}
	}
	return []string{program}
}

// The function project searches dir and its parent directories below the home for files such as package.json or .git. It
// returns the topmost directory with such a file, or dir if there is none.
func project(dir string) string {
	marks := []string{
		"package.json", "node_modules", "pnpm-workspace.yaml", "pyproject.toml", "Gemfile", "composer.json", "go.mod", ".git",
	}
	root := dir
	for d := dir; guard.InHome(d) && !guard.IsHome(d); d = filepath.Dir(d) {
		for _, mark := range marks {
			if _, err := os.Lstat(filepath.Join(d, mark)); err == nil {
				root = d
			}
		}
	}
	return root
}

// commonParent returns the deepest directory that contains both paths.
func commonParent(a, b string) string {
	for a != "/" && a != b && !guard.Inside(b, a) {
		a = filepath.Dir(a)
	}
	return a
}
