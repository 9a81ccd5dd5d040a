package install

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
)

// The type work does or undoes the apply that an intent describes. Each method checks the state of the files before it
// changes them, so the method can be called again after a kill at any point.
type work struct {
	store Store
	intent
	// The field pending is the directory of the intent.
	pending *dir
	// areas are the open directories of the files. A directory is opened when it is needed.
	areas map[area]*dir
}

func (s Store) newWork(in intent) (*work, error) {
	p, err := s.open(filepath.Join(s.stateDir(in.App), pendingDir))
	if err != nil {
		return nil, err
	}
	return &work{store: s, intent: in, pending: p, areas: map[area]*dir{}}, nil
}

func (w *work) close() {
	w.pending.close()
	for _, d := range w.areas {
		d.close()
	}
	w.areas = nil
}

// The method area returns the open directory of an area. A missing directory is created if the parameter create is true.
func (w *work) area(a area, create bool) (*dir, error) {
	if d, ok := w.areas[a]; ok {
		return d, nil
	}
	open := w.store.open
	if create {
		open = func(name string) (*dir, error) { return w.store.ensure(name, dirMode) }
	}
	d, err := open(w.store.areaDir(a))
	if err != nil {
		return nil, err
	}
	w.areas[a] = d
	return d, nil
}

// closeArea closes the directory of an area, because another directory may have replaced it under the same name.
func (w *work) closeArea(a area) {
	if d, ok := w.areas[a]; ok {
		d.close()
		delete(w.areas, a)
	}
}

// The type state is the current state of a file, compared with the intent.
type state int

const (
	isAbsent state = iota
	isOld
	isNew
	isOther
)

// stateOf returns the state of a file: the file does not exist, or it has the old, the new or other contents.
func (w *work) stateOf(i intentItem) (state, error) {
	d, err := w.area(i.Area, false)
	if errors.Is(err, fs.ErrNotExist) {
		return isAbsent, nil
	}
	if err != nil {
		return isOther, err
	}
	data, _, err := d.read(i.Path)
	if _, foreign := errors.AsType[*ForeignError](err); foreign {
		return isOther, nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return isAbsent, nil
	case err != nil:
		return isOther, err
	case digest(data) == i.New:
		return isNew, nil
	case digest(data) == i.Old:
		return isOld, nil
	}
	return isOther, nil
}

// currentStates returns the states of all files that change. If somebody else has changed one of the files, currentStates
// returns a [*ChangedError].
func (w *work) currentStates() ([]state, error) {
	states := make([]state, len(w.Files))
	var errs []error
	for n, i := range w.Files {
		if !i.isChange() {
			continue
		}
		var err error
		if states[n], err = w.stateOf(i); err != nil {
			errs = append(errs, err)
		} else if states[n] == isOther {
			errs = append(errs, &ChangedError{Path: filepath.Join(w.store.areaDir(i.Area), i.Path)})
		}
	}
	return states, errors.Join(errs...)
}

// stageAll writes all new contents to disk, in the directories of the files that they will replace.
func (w *work) stageAll() error {
	states, err := w.currentStates()
	if err != nil {
		return err
	}
	for n, i := range w.Files {
		if i.isChange() {
			if err := w.stage(i, states[n]); err != nil {
				return err
			}
		}
	}
	return w.syncDirs()
}

// replaceAll puts all new files in place. Before the first file changes, replaceAll writes all new contents to disk.
func (w *work) replaceAll() error {
	if err := w.stageAll(); err != nil {
		return err
	}
	states, err := w.currentStates()
	if err != nil {
		return err
	}
	if err := w.pending.remove(untouchedFile); err != nil {
		return err
	}
	if err := w.pending.sync("."); err != nil {
		return err
	}
	for n, i := range w.Files {
		if i.isChange() {
			if err := w.replace(i, states[n]); err != nil {
				return err
			}
		}
	}
	return w.syncDirs()
}

// The method stage writes the new contents of one file to a file with another name in the same directory, and gives the old
// file a second name.
func (w *work) stage(i intentItem, now state) error {
	if now == isAbsent && i.New == "" {
		return nil
	}
	stage := func() error {
		d, err := w.area(i.Area, i.New != "")
		if err != nil {
			return err
		}
		newName, oldName := i.stagedNames()
		if now == isOld && i.Old != "" && !w.isStaged(d, oldName, i.Old) {
			data, err := i.contents(w.pending, "old")
			if err != nil {
				return err
			}
			if err := d.keepCopy(i.Path, oldName, data, i.attrs()); err != nil {
				return err
			}
		}
		if now == isNew || i.New == "" || w.isStaged(d, newName, i.New) {
			return nil
		}
		return w.copyContents(d, i, "new", i.newAttrs())
	}
	return retry(func() error {
		err := stage()
		if errors.Is(err, fs.ErrNotExist) {
			w.closeArea(i.Area)
		}
		return err
	})
}

// copyContents writes the old or the new contents of a file, which it reads from the intent, to the staged file for new
// contents.
func (w *work) copyContents(d *dir, i intentItem, side string, a attrs) error {
	data, err := i.contents(w.pending, side)
	if err != nil {
		return err
	}
	if sub := path.Dir(i.Path); sub != "." {
		if err := d.mkdir(sub, dirMode); err != nil {
			return err
		}
	}
	newName, _ := i.stagedNames()
	return d.create(newName, data, a)
}

// isStaged reports whether a staged file has complete contents.
func (w *work) isStaged(d *dir, name, want string) bool {
	data, _, err := d.read(name)
	return err == nil && digest(data) == want
}

func (w *work) replace(i intentItem, now state) error {
	if now == isNew || i.New == "" && now == isAbsent {
		return nil
	}
	d, err := w.area(i.Area, false)
	if err != nil {
		return err
	}
	newName, _ := i.stagedNames()
	switch {
	case i.New == "":
		return d.remove(i.Path)
	case now == isAbsent:
		return d.renameNew(newName, i.Path)
	}
	return d.rename(newName, i.Path)
}

func (w *work) unstage() error {
	for _, i := range w.Files {
		d, err := w.area(i.Area, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		newName, oldName := i.stagedNames()
		if err := errors.Join(d.remove(newName), d.remove(oldName)); err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty removes a directory if it is empty. The parameter sub is the path in the area, and a dot means the directory
// of the area itself.
func (w *work) removeEmpty(a area, sub string) error {
	if sub == "." {
		w.closeArea(a)
		return w.store.removeEmptyBase(w.store.areaDir(a), dirMode)
	}
	d, err := w.area(a, false)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return d.removeEmpty(sub)
}

// syncDirs syncs the directories of all files, so that the names of the files are on the disk.
func (w *work) syncDirs() error {
	var synced []string
	for _, i := range w.Files {
		d, err := w.area(i.Area, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, sub := range []string{path.Dir(i.Path), "."} {
			key := string(i.Area) + "/" + sub
			if slices.Contains(synced, key) {
				continue
			}
			synced = append(synced, key)
			if err := d.sync(sub); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
