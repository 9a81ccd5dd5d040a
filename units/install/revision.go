package install

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// KeepRevisions is the number of revisions that are kept per app.
const KeepRevisions = 10

// Revision is the state of an app before one change.
type Revision struct {
	// Number grows by one with each change.
	Number int
	// Until is the time at which the next change began, and By the command that made it.
	Until time.Time
	By    string
	// Config is the source at that time, Values are the values of its variables, and Units are its units.
	Config, Values []byte
	Units          units.Set
}

// App returns the app of the revision.
func (r Revision) App(app units.Name) (units.App, error) {
	a, err := decode(app, "revision "+strconv.Itoa(r.Number), r.Config)
	if err == nil {
		a.FillValues(r.Values)
	}
	return a, err
}

// Revisions returns the revisions of an app, oldest first. If the app is not installed, there are none.
func (s Store) Revisions(app units.Name) ([]Revision, error) {
	base := filepath.Join(s.stateDir(app), revisionsDir)
	numbers, err := revisionNumbers(base)
	if err != nil {
		return nil, err
	}
	var all []Revision
	for _, n := range numbers {
		r, err := readRevision(filepath.Join(base, strconv.Itoa(n)))
		if err != nil {
			return nil, err
		}
		r.Number = n
		all = append(all, r)
	}
	return all, nil
}

// RevisionPath returns the path at which the old contents of a file are stored after the plan is committed.
func (s Store) RevisionPath(app units.Name, c Change) string {
	base := filepath.Join(s.stateDir(app), revisionsDir)
	next := 1
	if numbers, err := revisionNumbers(base); err == nil && len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	return filepath.Join(base, strconv.Itoa(next), "old", string(c.area), c.rel)
}

// revisionNumbers returns the numbers of the revisions in a directory, sorted.
func revisionNumbers(base string) ([]int, error) {
	entries, err := readDir(base)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && strconv.Itoa(n) == e.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func readRevision(path string) (Revision, error) {
	d, err := openDir(path)
	if err != nil {
		return Revision{}, err
	}
	defer d.close()
	in, err := readIntent(d)
	if err != nil {
		return Revision{}, err
	}
	r := Revision{Until: in.Since, By: in.Command}
	for _, i := range in.Files {
		if i.Old == "" {
			continue
		}
		data, err := i.contents(d, "old")
		if err != nil {
			return Revision{}, err
		}
		switch {
		case i.Area == configArea && i.Path == in.App.ValuesFile():
			r.Values = data
		case i.Area == configArea:
			r.Config = data
		default:
			r.Units = append(r.Units, units.File{Path: i.Path, Data: data})
		}
	}
	slices.SortFunc(r.Units, func(a, b units.File) int { return strings.Compare(a.Path, b.Path) })
	return r, nil
}

// keepRevision makes the intent the newest revision, by one rename, and removes the oldest revisions.
func (s Store) keepRevision(app units.Name) error {
	state, err := s.open(s.stateDir(app))
	if err != nil {
		return err
	}
	defer state.close()
	numbers, err := revisionNumbers(state.join(revisionsDir))
	if err != nil {
		return err
	}
	if _, err := state.root.Lstat(pendingDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := state.mkdir(revisionsDir, stateMode); err != nil {
		return err
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	if err := state.rename(pendingDir, filepath.Join(revisionsDir, strconv.Itoa(next))); err != nil {
		return err
	}
	if err := errors.Join(state.sync(revisionsDir), state.sync(".")); err != nil {
		return err
	}
	// Ignore the error: the change is complete, leftover files do no harm, and the next command for this app removes them.
	_ = s.sweep(app)
	return nil
}

// prune removes the oldest revisions. It also removes the new contents from the other ones, because they are the old
// contents of the next revision.
func (s Store) prune(base *dir, app units.Name) error {
	revisions := filepath.Join(string(app), revisionsDir)
	numbers, err := revisionNumbers(base.join(revisions))
	if err != nil {
		return err
	}
	for _, n := range numbers {
		name := filepath.Join(revisions, strconv.Itoa(n))
		if n > numbers[len(numbers)-1]-KeepRevisions {
			if err := base.removeAll(filepath.Join(name, "new")); err != nil {
				return err
			}
			continue
		}
		// Rename it first, so that no process reads an incomplete revision.
		if err := base.rename(name, trashOf(app)); err != nil {
			return err
		}
		if err := base.removeAll(trashOf(app)); err != nil {
			return err
		}
	}
	return nil
}

// discard removes the intent without making it a revision.
func (s Store) discard(app units.Name) error {
	return s.within(s.stateDir(app), func(state *dir) error { return s.drop(state, app) })
}

// drop is discard for an open directory. It renames the intent first, so that no process finds an incomplete one.
func (s Store) drop(state *dir, app units.Name) error {
	if err := state.removeAll(trashDir); err != nil {
		return err
	}
	if _, err := state.root.Lstat(pendingDir); err == nil {
		if err := state.rename(pendingDir, trashDir); err != nil {
			return err
		}
		if err := state.sync("."); err != nil {
			return err
		}
	}
	return s.sweep(app)
}

// forgetApp removes the state of an app, including the intent, by one rename.
func (s Store) forgetApp(app units.Name) error {
	d, err := s.open(s.State)
	if err != nil {
		return err
	}
	defer d.close()
	trash := trashOf(app)
	if _, err := d.root.Lstat(string(app)); err == nil {
		if err := d.removeAll(trash); err != nil {
			return err
		}
		if err := d.rename(string(app), trash); err != nil {
			return err
		}
	}
	if err := d.sync("."); err != nil {
		return err
	}
	// Ignore the error: the app is removed, leftover files do no harm, and the next command for this app removes them.
	_ = s.sweep(app)
	return nil
}

// trashOf returns the name of a directory to be removed. No app can have this name.
func trashOf(app units.Name) string { return ".trash-" + string(app) }

// sweep removes useless files of commands that were killed: everything except the intent and the newest revisions. The lock
// must be held.
func (s Store) sweep(app units.Name) error {
	return s.within(s.State, func(base *dir) error {
		name := string(app)
		if info, err := base.root.Lstat(name); err == nil && !info.IsDir() {
			return base.foreign(name, info)
		}
		for _, junk := range []string{trashOf(app), filepath.Join(name, preparingDir), filepath.Join(name, trashDir)} {
			if err := base.removeAll(junk); err != nil {
				return err
			}
		}
		if err := s.prune(base, app); err != nil {
			return err
		}
		if _, err := base.root.Lstat(filepath.Join(name, pendingDir)); errors.Is(err, fs.ErrNotExist) {
			for _, empty := range []string{filepath.Join(name, revisionsDir), name} {
				if err := base.removeEmpty(empty); err != nil {
					return err
				}
			}
		}
		return s.removeEmptyBase(s.State, stateMode)
	})
}

// removeEmptyBase removes an empty directory with the mode that clusterctl gives it. With another mode, somebody else may be
// using it. A concurrent command that needs the directory creates it again.
func (s Store) removeEmptyBase(name string, mode fs.FileMode) error {
	return s.within(filepath.Dir(name), func(parent *dir) error {
		base := filepath.Base(name)
		if info, err := parent.root.Lstat(base); err != nil || info.Mode() != fs.ModeDir|mode {
			return nil
		}
		return parent.removeEmpty(base)
	})
}
