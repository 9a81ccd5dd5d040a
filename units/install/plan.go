package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// Op is the operation on one file.
type Op int

// Keep means that the file does not change.
const (
	Keep Op = iota
	Create
	Update
	Remove
)

// String returns the operation in the words of the output: keep, create, update or remove.
func (o Op) String() string { return [...]string{"keep", "create", "update", "remove"}[o] }

// area identifies one of the directories that contain files of an app.
type area string

const (
	unitArea    area = "units"
	journalArea area = "journal"
	configArea  area = "config"
)

func (s Store) areaDir(a area) string {
	switch a {
	case configArea:
		return s.Config
	case journalArea:
		return s.Journal
	}
	return s.Units
}

// areaOf returns the area of a file of a [units.Set].
func areaOf(app units.Name, rel string) area {
	switch rel {
	case app.JournalConf():
		return journalArea
	case app.ValuesFile():
		return configArea
	}
	return unitArea
}

// SetPath returns the absolute path of a file of a [units.Set].
func (s Store) SetPath(app units.Name, rel string) string {
	return filepath.Join(s.areaDir(areaOf(app, rel)), rel)
}

// Change is one file of a plan, with its old and new contents.
type Change struct {
	Op Op
	// Path is the absolute path of the file.
	Path string
	// Old is nil for Create. New is nil for Remove.
	Old, New []byte

	area  area
	rel   string
	attrs attrs
}

// Kind returns the kind of the file.
func (c Change) Kind() units.Kind { return units.KindOf(c.Path) }

// [Change.Is] reports whether the file has the given kind and the operation is one of ops.
func (c Change) Is(k units.Kind, ops ...Op) bool { return c.Kind() == k && slices.Contains(ops, c.Op) }

// Unit reports whether the file is a unit or a drop-in.
func (c Change) Unit() bool {
	k := c.Kind()
	return k != units.KindSource && k != units.KindValues && k != units.KindJournal
}

// FileOf returns the first change of a file of the given kind, or the zero Change.
func FileOf(changes []Change, k units.Kind) Change {
	for _, c := range changes {
		if c.Kind() == k {
			return c
		}
	}
	return Change{}
}

// Plan describes an apply: the files that change and how. [Store.Plan] returns a Plan.
type Plan struct {
	App units.Name
	// Changes are all files of the app, including files that do not change: the units sorted by path, then the source.
	Changes []Change
	// Uninstall means that the apply removes the app and its revisions.
	Uninstall bool
	// Scale means that the apply changes only the number of instances. Scale has no effect in this package, which only
	// stores it for [Pending].
	Scale bool
	// KeepLogs means that an uninstall does not remove the private journal. KeepLogs has no effect in this package, which
	// only stores it for [Pending].
	KeepLogs bool
	// The field Was holds the state of the app before the apply. A rollback starts the app again if it was running.
	Was Was
}

// The type Was describes whether an app was running or stopped when its plan was made.
type Was string

// WasUnknown means that the apply does not affect running processes.
const (
	WasUnknown Was = ""
	WasRunning Was = "running"
	WasStopped Was = "stopped"
)

// Changed reports whether the plan changes a file.
func (p Plan) Changed() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Op != Keep })
}

// [Plan.Only] returns the plan with the changes of one file of the set. All other files keep their old contents.
func (p Plan) Only(rel string) Plan {
	var changes []Change
	for _, c := range p.Changes {
		switch {
		case c.rel == rel:
			changes = append(changes, c)
		case c.Old != nil:
			c.Op, c.New = Keep, c.Old
			changes = append(changes, c)
		}
	}
	p.Changes = changes
	return p
}

// NeedsReload reports whether the plan changes units, so that systemd must reload.
func (p Plan) NeedsReload() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Op != Keep && c.Unit() })
}

// NeedsJournal reports whether the plan changes the limits of the private journal. journald reads the limits at its start,
// so a change needs a restart of journald.
func (p Plan) NeedsJournal() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Op != Keep && c.Kind() == units.KindJournal })
}

// Plan compares the files on disk with the units in the set and with the source of an app, and changes no file. An empty set
// with a nil source means an uninstall. A file that does not belong to the app, at a path that the app needs, is a
// [*ForeignError]. Several errors are joined by errors.Join.
func (s Store) Plan(app units.Name, set units.Set, source []byte) (Plan, error) {
	if err := s.checkPlan(app, set, source); err != nil {
		return Plan{}, err
	}
	if s.Packaged(app) {
		return Plan{}, &PackagedError{App: app}
	}
	p := Plan{App: app, Uninstall: len(set) == 0}
	candidates, err := s.candidates(app, set)
	if err != nil {
		return Plan{}, err
	}
	var errs []error
	for _, rel := range candidates {
		if isKept(set, rel) {
			continue
		}
		want, wanted := set.Get(rel)
		c, err := s.compare(app, areaOf(app, rel), rel, want, wanted)
		switch {
		case rel == app.ValuesFile() && errors.Is(err, fs.ErrPermission):
			// Only root can read the values file. Other users see only the names of the variables, in the source.
		case err != nil:
			errs = append(errs, err)
		case c.Old != nil || c.New != nil:
			p.Changes = append(p.Changes, c)
		}
	}
	c, err := s.compare(app, configArea, string(app)+sourceSuffix, source, source != nil)
	if err != nil {
		errs = append(errs, err)
	} else if c.Old != nil || c.New != nil {
		p.Changes = append(p.Changes, c)
	}
	if err := errors.Join(errs...); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// isKept reports whether the set marks the file as Kept: the file on disk stays unchanged.
func isKept(set units.Set, rel string) bool {
	return slices.ContainsFunc(set, func(f units.File) bool { return f.Kept && f.Path == rel })
}

// checkPlan returns an error if the arguments of Plan are invalid.
func (s Store) checkPlan(app units.Name, set units.Set, source []byte) error {
	if _, err := units.ParseName(string(app)); err != nil {
		return err
	}
	if (len(set) == 0) != (source == nil) {
		return fmt.Errorf("internal error: the plan for %s must have both units and a source, or neither", app)
	}
	for _, f := range set {
		if f.Kept && f.Path == app.ValuesFile() {
			continue
		}
		if !ownPath(app, f.Path) || f.Path == app.JournalConf() && s.Journal == "" || units.Owner(f) != app || len(f.Data) > maxFile {
			return fmt.Errorf("internal error: %q is not a unit of %s", f.Path, app)
		}
	}
	return nil
}

// ownPath reports whether the path is a possible path of a file of the app.
func ownPath(app units.Name, rel string) bool {
	switch rel {
	case app.Service(), app.Template(), app.Slice(), app.DropIn(),
		app.SecretsDropIn(), app.JournalConf(), app.ValuesFile(), string(app) + ".socket":
		return true
	}
	return strings.HasPrefix(rel, string(app)+"-") && path.Ext(rel) == ".socket" && !strings.Contains(rel, "/")
}

// candidates returns the paths in the set and all other paths at which files of the app may exist, sorted.
func (s Store) candidates(app units.Name, set units.Set) ([]string, error) {
	entries, err := readDir(s.Units)
	if err != nil {
		return nil, err
	}
	paths := []string{app.DropIn(), app.SecretsDropIn(), app.ValuesFile()}
	if s.Journal != "" {
		paths = append(paths, app.JournalConf())
	}
	for _, e := range entries {
		if ownPath(app, e.Name()) {
			paths = append(paths, e.Name())
		}
	}
	for _, f := range set {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// The method compare returns the change of one file, or the zero Change if the file is not wanted and does not belong to the
// app.
func (s Store) compare(app units.Name, a area, rel string, want []byte, wanted bool) (Change, error) {
	c := Change{Path: filepath.Join(s.areaDir(a), rel), area: a, rel: rel, attrs: attrs{mode: fileMode}}
	if rel == app.ValuesFile() {
		c.attrs = attrs{mode: secretMode}
	}
	if wanted {
		c.New = append([]byte{}, want...) // not nil, even for an empty file
	}
	old, attrs, err := s.readOwn(app, a, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if wanted {
			c.Op = Create
		}
		return c, nil
	case err != nil:
		if _, foreign := errors.AsType[*ForeignError](err); foreign && !wanted {
			return Change{}, nil
		}
		return Change{}, err
	}
	c.Old, c.attrs = old, attrs
	switch {
	case !wanted:
		c.Op = Remove
	case !bytes.Equal(old, want):
		c.Op = Update
	}
	return c, nil
}
