package apppkg

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/clusterctl/clusterctl/units"
)

// writablePaths returns the writable paths on the target. A path in the app's directory becomes a path in stateOf,
// because an upgrade replaces the app's directory.
func writablePaths(a units.App, roots []Root) ([]string, error) {
	var out, from []string
	for _, w := range a.Writable {
		to := path.Clean(w)
		if _, rel, ok := rootOf(to, roots); ok {
			if rel == "" {
				return nil, writableError("list directories below it, such as "+path.Join(w, "data"),
					"%q cannot be writable: each version replaces it", w)
			}
			to = stateOf(a.Name) + "/" + rel
		}
		if isBelow(to, stateOf(a.Name)) {
			if err := checkState(a, w, to); err != nil {
				return nil, err
			}
			// postinst creates these directories as root, so none of them may be in a directory in which the workers can
			// create links.
			for i, other := range out {
				if isBelow(to, other) || isBelow(other, to) {
					return nil, nestedError(w, from[i])
				}
			}
		}
		out, from = append(out, to), append(from, w)
	}
	return out, nil
}

func checkState(a units.App, w, to string) error {
	switch {
	case to == stateOf(a.Name):
		return writableError("list directories below it", "%q cannot be writable: it contains all data of the package", w)
	case a.RunAs.Dynamic():
		return writableError("use run-as: "+userName(a.Name), "%q is writable, so the workers need a permanent user", w)
	case hasControl(to):
		return writableError("rename it", "%q contains a control character", w)
	}
	return nil
}

func nestedError(a, b string) error {
	inner, outer := path.Clean(a), path.Clean(b)
	if inner == outer {
		return writableError("", "%q is given twice", a)
	}
	if isBelow(outer, inner) {
		inner, outer = outer, inner
	}
	return writableError(fmt.Sprintf("omit %q: the workers can create it", inner),
		"%q is in %q, which is already writable", inner, outer)
}

// stateLinks returns the writable paths in the app's directory, relative to this directory. In each release, postinst
// creates links at these paths. The package does not contain the links: if a later version had a directory instead of a
// link, dpkg would follow the link, and unpack the directory as root into a directory that the workers can write to.
func (in Input) stateLinks(local units.App) []string {
	var links []string
	for _, w := range local.Writable {
		if _, rel, ok := rootOf(path.Clean(w), in.Roots); ok {
			links = append(links, rel)
		}
	}
	return links
}

// checkWritable returns an error if a writable path is not a directory, or if dpkg would unpack a file into a directory
// that the workers can write to.
func (in Input) checkWritable() error {
	for _, w := range in.App.Writable {
		w = path.Clean(w)
		for _, f := range in.Files {
			switch {
			case !Contains(in.Roots, w):
				if f.Included && isBelow(f.Path, w) {
					return writableError("move it into the app's directory",
						"%q is included, but the workers can write to its parent %q", f.Path, w)
				}
			case f.Path == w && !f.Mode.IsDir():
				return writableError("move it into a separate directory, and make the directory writable",
					"%q is not a directory, and a package can keep only directories", w)
			case f.Mode&fs.ModeSymlink != 0 && isBelow(w, f.Path):
				return writableError("use the target of the link", "%q is behind the link %q", w, f.Path)
			}
		}
	}
	return nil
}

func writableError(hint, format string, args ...any) error {
	return &units.FieldError{Key: "writable", Index: -1, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// requiredWritable returns the writable paths that must exist before the install, because the package does not create
// them.
func requiredWritable(a units.App) []string {
	if a.Sandbox == units.SandboxOff {
		return nil // without a sandbox, systemd does not mount these paths
	}
	var out []string
	for _, w := range a.Writable {
		if !isBelow(w, stateOf(a.Name)) {
			out = append(out, w)
		}
	}
	return out
}
