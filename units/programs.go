package units

import (
	"path"
	"slices"
	"strings"
)

// ConfigFile is the name of the file next to the program that describes apps.
const ConfigFile = "clusterctl.yaml"

// Programs returns the paths of the files that the command runs: the program, and the script if the program is a known
// interpreter. It does not access the disk, so the files may be missing.
func (a App) Programs() []string {
	if len(a.Command) == 0 {
		return nil
	}
	files := []string{path.Clean(a.Command[0])}
	base := strings.TrimRight(path.Base(a.Command[0]), "0123456789.")
	i := slices.IndexFunc(interpreters(), func(i interpreter) bool { return slices.Contains(i.names, base) })
	if i < 0 {
		return files
	}
	script := interpreters()[i].script(a.Command[1:])
	if script == "" {
		return files
	}
	if !path.IsAbs(script) {
		script = path.Join("/", a.Directory, script)
	}
	return append(files, path.Clean(script))
}

// ownFiles returns files that a worker must not change even if it may write to their directory: programs that run, and files
// that root or the shim reads. A file that is itself in Writable is omitted.
func (a App) ownFiles() []string {
	files := a.Programs()
	if a.Directory != "" {
		files = append(files, path.Join(a.Directory, ConfigFile), path.Join(a.Directory, ".env"))
	}
	for _, f := range a.EnvFiles {
		files = append(files, path.Clean(f.Path))
	}
	return slices.DeleteFunc(files, func(p string) bool { return slices.Contains(a.Writable, p) })
}

// protect returns the files that are read-only inside of the writable trees, and the directories between a tree and such a
// file. Each becomes a mount point, so the worker cannot replace it with another file or directory by renaming.
func (a App) protect(writable []string) (readOnly, pinned []string) {
	add := func(list []string, p string) []string {
		if slices.Contains(list, p) {
			return list
		}
		return append(list, p)
	}
	for _, f := range a.ownFiles() {
		tree := ""
		for _, w := range writable {
			if w = path.Clean(w); len(w) > len(tree) && strings.HasPrefix(f, w+"/") {
				tree = w
			}
		}
		if tree == "" {
			continue // the worker cannot write to it
		}
		if _, err := pathWord("read-only", f); err != nil {
			continue // no unit file can hold the path
		}
		readOnly = add(readOnly, f)
		for dir := path.Dir(f); dir != tree; dir = path.Dir(dir) {
			if !strings.ContainsRune(dir, ':') { // BindPaths= would split the path at the colon
				pinned = add(pinned, dir)
			}
		}
	}
	slices.Sort(pinned)
	return readOnly, pinned
}

// optionalPaths returns a list of paths that may be missing (prefix "-").
func (r *renderer) optionalPaths(paths []string) value {
	return fixed(strings.Join(r.words("read-only", "-", paths), " "))
}
