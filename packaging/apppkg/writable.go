package apppkg

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/clusterctl/clusterctl/units"
)

// writablePaths returns the writable paths of the app on the target. Paths in the directory of the app move to a state
// directory, which releases do not replace.
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
		if below(to, stateOf(a.Name)) {
			if err := checkState(a, w, to); err != nil {
				return nil, err
			}
			// Root creates the directories of the package, so they must not be where the workers can create links.
			for i, other := range out {
				if below(to, other) || below(other, to) {
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
	if below(outer, inner) {
		inner, outer = outer, inner
	}
	return writableError(fmt.Sprintf("omit %q: the workers can create it", inner),
		"%q is in %q, which is already writable", inner, outer)
}

// stateLinks returns the writable paths in the directory of the app, relative to it. postinst creates links there in each
// release. The links are not files of the package: if a later version had a directory at the path of a link, dpkg would
// follow the link and unpack the directory as root where the workers can write.
func (in Input) stateLinks(here units.App) []string {
	var links []string
	for _, w := range here.Writable {
		if _, rel, ok := rootOf(path.Clean(w), in.Roots); ok {
			links = append(links, rel)
		}
	}
	return links
}

// checkWritable returns an error for a writable path that cannot be a directory of the package, and for a file that dpkg
// would unpack where the workers can write.
func (in Input) checkWritable() error {
	for _, w := range in.App.Writable {
		w = path.Clean(w)
		for _, f := range in.Files {
			switch {
			case !Contains(in.Roots, w):
				if f.Included && below(f.Path, w) {
					return writableError("move it into the app's directory",
						"%q is included, but the workers can write to its parent %q", f.Path, w)
				}
			case f.Path == w && !f.Mode.IsDir():
				return writableError("move it into a separate directory, and make the directory writable",
					"%q is not a directory, and a package can keep only directories", w)
			case f.Mode&fs.ModeSymlink != 0 && below(w, f.Path):
				return writableError("use the target of the link", "%q is behind the link %q", w, f.Path)
			}
		}
	}
	return nil
}

func writableError(hint, format string, args ...any) error {
	return &units.FieldError{Key: "writable", Index: -1, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// foreignWritable returns the writable paths that the package does not create, so they must exist before the install.
func foreignWritable(a units.App) []string {
	if a.Sandbox == units.SandboxOff {
		return nil // without a sandbox, systemd does not need them
	}
	var out []string
	for _, w := range a.Writable {
		if !below(w, stateOf(a.Name)) {
			out = append(out, w)
		}
	}
	return out
}
