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

// KeepRevisions is the maximum number of revisions per app.
const KeepRevisions = 10

// Revision contains the files of an app before one of its changes.
type Revision struct {
	// Number increases by one with each change.
	Number int
	// The field Until is the time at which the next change began. The field By is the command that made this change.
	Until time.Time
	By    string
	// Config holds the source, Values holds the values of its variables, and Units holds the units, all before that change.
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

// Revisions returns the revisions of an app, oldest first. Revisions returns no revisions if the app is not installed.
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

// RevisionPath returns the path at which Commit will store the old contents of a file.
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

// keepRevision makes the intent the newest revision, by a rename of its directory, and removes the oldest revisions.
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
	// Ignore the error, because the apply is complete. The next command for this app removes the remaining files.
	_ = s.removeLeftovers(app)
	return nil
}

// The method prune removes the oldest revisions. In the remaining revisions, prune removes the new contents, because these
// are also the old contents of the next revision.
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
		// Rename the revision first, so that no process reads an incomplete revision.
		if err := base.rename(name, trashOf(app)); err != nil {
			return err
		}
		if err := base.removeAll(trashOf(app)); err != nil {
			return err
		}
	}
	return nil
}

// The method discard removes the intent. The intent does not become a revision.
func (s Store) discard(app units.Name) error {
	return s.inDirectory(s.stateDir(app), func(state *dir) error { return s.discardIn(state, app) })
}

// discardIn removes the intent from the open state directory of the app. discardIn renames the intent first, so that no
// process finds an incomplete intent.
func (s Store) discardIn(state *dir, app units.Name) error {
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
	return s.removeLeftovers(app)
}

// removeState removes the state of an app, including the intent. removeState renames the state directory first, so that no
// process finds an incomplete state.
func (s Store) removeState(app units.Name) error {
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
	// Ignore the error, because the app is removed. The next command for this app removes the remaining files.
	_ = s.removeLeftovers(app)
	return nil
}

// trashOf returns the name for a directory that is to be removed. No app can have this name.
func trashOf(app units.Name) string { return ".trash-" + string(app) }

// removeLeftovers removes all files that killed commands left in the state directory, except the intent and the newest
// revisions. The lock of the app must be held.
func (s Store) removeLeftovers(app units.Name) error {
	return s.inDirectory(s.State, func(base *dir) error {
		name := string(app)
		if info, err := base.root.Lstat(name); err == nil && !info.IsDir() {
			return base.wrongType(name, info)
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

// removeEmptyBase removes a directory if it is empty and has the mode that clusterctl sets. If the mode is different,
// somebody else may use the directory. A concurrent command that needs the directory creates it again.
func (s Store) removeEmptyBase(name string, mode fs.FileMode) error {
	return s.inDirectory(filepath.Dir(name), func(parent *dir) error {
		base := filepath.Base(name)
		if info, err := parent.root.Lstat(base); err != nil || info.Mode() != fs.ModeDir|mode {
			return nil
		}
		return parent.removeEmpty(base)
	})
}
