package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// KeepRevisions is how many revisions of an app are kept.
const KeepRevisions = 10

// Revision is what an app was before one change.
type Revision struct {
	// Number grows by one with each change.
	Number int
	// Until is when the change began that replaced it, and By the command that did.
	Until time.Time
	By    string
	// Config is the source at that time, Values are the values of its variables, Units are the units.
	Config, Values []byte
	Units          units.Set
}

// App reads the source of the revision.
func (r Revision) App(app units.Name) (units.App, error) {
	a, err := decode(app, "revision "+strconv.Itoa(r.Number), r.Config)
	if err == nil {
		a.FillValues(r.Values)
	}
	return a, err
}

// Revisions reads the revisions of an app, oldest first. An app without any, or that is not installed, has none.
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

// RevisionPath is where the old contents of a file will be once a plan with that change is committed.
func (s Store) RevisionPath(app units.Name, c Change) string {
	base := filepath.Join(s.stateDir(app), revisionsDir)
	next := 1
	if numbers, err := revisionNumbers(base); err == nil && len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	return filepath.Join(base, strconv.Itoa(next), "old", string(c.area), c.rel)
}

// revisionNumbers lists the revisions in a directory, in order.
func revisionNumbers(base string) ([]int, error) {
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError("reading", base, err)
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

// keepRevision turns the intent into the newest revision, by one rename, and removes those that are too old.
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
	// The change is final; what is left over does no harm, and the next command on this name removes it.
	_ = s.sweep(app)
	return nil
}

// prune removes what Revisions does not need: the oldest, and the new contents, which the next revision has as its old.
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
		// By a rename first, so that no half of a revision is ever read.
		if err := base.rename(name, trashOf(app)); err != nil {
			return err
		}
		if err := base.removeAll(trashOf(app)); err != nil {
			return err
		}
	}
	return nil
}

// discard removes the intent and leaves no revision.
func (s Store) discard(app units.Name) error {
	state, err := s.open(s.stateDir(app))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer state.close()
	return s.drop(state, app)
}

// drop is discard with the directory open. The intent goes by one rename, so no half of it is ever found.
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

// forgetApp removes the state of an app, the intent included, by one rename.
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
	// The app is gone; what is left over does no harm, and the next command on this name removes it.
	_ = s.sweep(app)
	return nil
}

// trashOf cannot be the name of an app.
func trashOf(app units.Name) string { return ".trash-" + string(app) }

// sweep removes what a command that was killed has left of no use: everything but the intent and the newest revisions. The
// lock must be held.
func (s Store) sweep(app units.Name) error {
	base, err := s.open(s.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer base.close()
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
}

// removeEmptyBase removes a directory that is as we make it once nothing is in it; one with other permissions is not
// only ours. Another command that is about to put something into it makes it again.
func (s Store) removeEmptyBase(name string, mode fs.FileMode) error {
	parent, err := s.open(filepath.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.close()
	base := filepath.Base(name)
	if info, err := parent.root.Lstat(base); err != nil || info.Mode() != fs.ModeDir|mode {
		return nil
	}
	return parent.removeEmpty(base)
}
