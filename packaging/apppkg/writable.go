package apppkg

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/clusterctl/clusterctl/units"
)

// writablePaths puts what the app writes into its directory where releases do not replace it, and returns all of its
// writable paths as they are on the target.
func writablePaths(a units.App, roots []Root) ([]string, error) {
	var out, from []string
	for _, w := range a.Writable {
		to := path.Clean(w)
		if rel, ok := inRoot(w, roots); ok {
			if rel == "" {
				return nil, writableError("name what is written below it, such as "+path.Join(w, "data"),
					"%q is replaced with each version, so it cannot be writable as a whole", w)
			}
			to = stateOf(a.Name) + "/" + rel
		}
		if below(to, stateOf(a.Name)) {
			if err := checkState(a, w, to); err != nil {
				return nil, err
			}
			// Root makes the directories of the package, so none may lie where the workers can put a link.
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
		return writableError("name a directory below it", "%q holds all that the package keeps, so it cannot be writable as a whole", w)
	case a.RunAs.Dynamic():
		return writableError("write run-as: "+userName(a.Name), "%q is written to, so the workers need a permanent user", w)
	case hasControl(to):
		return writableError("rename it", "%q has a control character", w)
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
	return writableError(fmt.Sprintf("omit %q: the workers can make it themselves", inner),
		"%q is inside %q, which is writable already", inner, outer)
}

// stateLinks returns the parts of the app's directory that it writes to, relative to that. In a release, postinst puts links
// there. They are not among the files of the package: where a later version has a directory in such a place, dpkg would
// unpack it behind the link, among the links of the workers, as root.
func (in Input) stateLinks(here units.App) []string {
	var links []string
	for _, w := range here.Writable {
		if rel, ok := inRoot(w, in.Roots); ok {
			links = append(links, rel)
		}
	}
	return links
}

// checkWritable refuses writable paths of the app's directory that cannot be directories of the package's, and files that
// dpkg would write where the workers may.
func (in Input) checkWritable() error {
	for _, w := range in.App.Writable {
		w = path.Clean(w)
		for _, f := range in.Files {
			switch {
			case !contains(in.Roots, w):
				if f.Included && below(f.Path, w) {
					return writableError("make it part of the app's directory",
						"%q is included, and inside %q, where the workers write", f.Path, w)
				}
			case f.Path == w && !f.Mode.IsDir():
				return writableError("move it into a separate directory, and make the directory writable",
					"%q is not a directory, and a package can keep only directories", w)
			case f.Mode&fs.ModeSymlink != 0 && below(w, f.Path):
				return writableError("write the path that the link leads to", "%q is behind the link %q", w, f.Path)
			}
		}
	}
	return nil
}

func writableError(hint, format string, args ...any) error {
	return &units.FieldError{Key: "writable", Index: -1, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// foreignWritable returns the writable paths that neither the package nor a release makes, so that they must be there.
func foreignWritable(a units.App) []string {
	if a.Sandbox == units.SandboxOff {
		return nil // nothing mounts them, so they need not be there
	}
	var out []string
	for _, w := range a.Writable {
		if !below(w, stateOf(a.Name)) {
			out = append(out, w)
		}
	}
	return out
}
