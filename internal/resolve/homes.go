package resolve

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/units"
)

// homes adds to a.Reads the paths in homes that the workers need. Other files in homes are hidden in the sandbox. homes
// follows links: the real place of a file decides.
func (r *Resolver) homes(a *units.App) {
	if a.Sandbox == units.SandboxOff || slices.Contains(a.Allow, units.AllowHome) {
		return
	}
	h := homePaths{app: a}
	h.directory(a.Directory)
	if real, _ := guard.Follow(a.Command[0]); guard.Inside(a.Command[0], "/run/user") && !guard.Inside(real, "/run/user") {
		r.Note("program: %s (%s exists only during a login)", real, a.Command[0])
		a.Command[0] = real
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
		h.place(p)
	}
	a.Reads = append(a.Reads, h.found...)
	r.noteHomes(h.seen(), h.loose)
}

// noteHomes notes which paths in homes the workers see.
func (r *Resolver) noteHomes(seen, loose []string) {
	if len(seen) == 0 {
		return
	}
	r.Note("home: the workers see %s, but nothing else in /home, /root and /run/user (--ro PATH adds a path)", strings.Join(seen, ", "))
	for _, p := range loose {
		r.Note("home: %s is a link in a home: systemd follows it at each start, and relative links out of its target do not work", p)
	}
	for _, p := range seen {
		if guard.IsHome(p) {
			r.Note("home: %s is a whole home: common places of keys and passwords are hidden, but a subdirectory is safer", p)
		}
	}
}

// homePaths collects the paths that an app needs in homes.
type homePaths struct {
	app *units.App
	// found are the paths to bind. loose are links whose old and new target cannot both be bound.
	found, loose []string
}

// add adds a path in a home, unless it is already visible.
func (h *homePaths) add(p string) {
	at, _ := guard.Follow(p)
	for _, s := range h.seen() {
		real, _ := guard.Follow(s)
		if p == s || guard.Inside(p, s) || p == at && (p == real || guard.Inside(p, real)) {
			return
		}
	}
	h.found = append(h.found, p)
}

// seen returns the visible paths: the found paths, the directory and the writable paths.
func (h *homePaths) seen() []string {
	seen := slices.Concat(h.app.Reads, h.found)
	for _, p := range append([]string{h.app.Directory}, h.app.Writable...) {
		if guard.InHome(p) && !slices.Contains(seen, p) {
			seen = append(seen, p)
		}
	}
	return seen
}

// place adds a path if it is in a home or is a link into a home. For a link in a home, it adds the directory that contains
// the link and its target.
func (h *homePaths) place(p string) {
	at, links := guard.Follow(p)
	for _, l := range links {
		if !guard.InHome(l.At) {
			continue
		}
		// A deploy changes this link, so the old and the new target must be visible.
		if both := common(filepath.Dir(l.At), l.To); guard.InHome(both) && !guard.IsHome(both) {
			h.add(both)
		} else if !slices.Contains(h.loose, l.At) {
			h.loose = append(h.loose, l.At)
		}
	}
	switch {
	case guard.InHome(p):
		h.add(p)
	case guard.InHome(at) && !slices.Contains(h.seen(), p):
		// PID 1 follows the link at each start, and binds its target.
		h.found = append(h.found, p)
	}
}

// directory adds the directory of the app, and the project that contains it: programs look for modules in parent
// directories.
func (h *homePaths) directory(d string) {
	at, _ := guard.Follow(d)
	if guard.IsHome(at) {
		h.app.Directory = at // units.Render hides paths in a home by the name of the home
		return
	}
	h.place(d)
	if root := project(at); root != at && guard.InHome(root) {
		h.add(root)
	}
}

// program adds a program, the libraries that are installed with it, and the interpreter in its first line.
func (h *homePaths) program(p string) {
	at, links := guard.Follow(p)
	for _, l := range append(links, guard.Link{At: at}) {
		if guard.InHome(l.At) {
			for _, need := range installation(l.At) {
				h.add(need)
			}
		}
	}
	if line := guard.Shebang(p); len(line) > 0 && filepath.IsAbs(line[0]) && line[0] != p {
		h.program(line[0])
	}
}

// argument adds a file or directory with an absolute path. For a file, it adds the project that contains it.
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
	h.place(arg)
}

// installation returns the paths that must be visible to run a program in a home. If libraries are installed next to "bin",
// this is the parent of "bin", otherwise only the program: ~/.local and ~/.cargo contain other files, too.
func installation(program string) []string {
	bin := filepath.Dir(program)
	root := filepath.Dir(bin)
	switch {
	case filepath.Base(bin) == "shims", filepath.Base(root) == ".volta":
		// asdf, pyenv, rbenv and volta: a small program that finds and runs the right version.
		return []string{root}
	case filepath.Base(bin) != "bin" || guard.IsHome(root) || !guard.InHome(root):
		return []string{program}
	case filepath.Base(root) == ".local" || filepath.Base(root) == ".cargo":
		if lib := filepath.Join(root, "lib"); isDirectory(lib) {
			return []string{program, lib}
		}
		return []string{program}
	}
	for _, beside := range []string{"lib", "include", "pyvenv.cfg"} {
		if _, err := os.Stat(filepath.Join(root, beside)); err == nil {
			return []string{root}
		}
	}
	return []string{program}
}

// project returns the topmost directory below the home that looks like the root of a project, or dir if there is none.
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

// common returns the deepest directory that holds both paths.
func common(a, b string) string {
	for a != "/" && a != b && !guard.Inside(b, a) {
		a = filepath.Dir(a)
	}
	return a
}

func isDirectory(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.IsDir()
}
