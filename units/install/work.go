package install

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
)

// work carries out an intent, forward or back. Each method checks the state of the files before it acts, so it can be
// repeated after an interruption at any point.
type work struct {
	store Store
	intent
	// pending is the directory of the intent.
	pending *dir
	// areas are the directories of the targets. They are opened on demand.
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

// area opens the directory of a target. If create is true, it creates a missing directory.
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

// forget closes an area, because its directory may have been replaced by another one of the same name.
func (w *work) forget(a area) {
	if d, ok := w.areas[a]; ok {
		d.close()
		delete(w.areas, a)
	}
}

// state is the current state of a target.
type state int

const (
	isAbsent state = iota
	isOld
	isNew
	isOther
)

// stateOf compares a target with the old and the new contents in the intent.
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

// survey returns the states of all files that change. It returns an error if somebody else has changed one of them, before
// anything is done.
func (w *work) survey() ([]state, error) {
	states := make([]state, len(w.Files))
	var errs []error
	for n, i := range w.Files {
		if !i.changes() {
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

// stageAll writes all contents to disk, next to their targets.
func (w *work) stageAll() error {
	states, err := w.survey()
	if err != nil {
		return err
	}
	for n, i := range w.Files {
		if i.changes() {
			if err := w.stage(i, states[n]); err != nil {
				return err
			}
		}
	}
	return w.syncDirs()
}

// forward puts all new files in place. Before the first file changes, all contents are on disk next to their targets.
func (w *work) forward() error {
	if err := w.stageAll(); err != nil {
		return err
	}
	states, err := w.survey()
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
		if i.changes() {
			if err := w.advance(i, states[n]); err != nil {
				return err
			}
		}
	}
	return w.syncDirs()
}

// stage writes the new contents next to the target, and keeps the old file under another name.
func (w *work) stage(i intentItem, now state) error {
	if now == isAbsent && i.New == "" {
		return nil
	}
	stage := func() error {
		d, err := w.area(i.Area, i.New != "")
		if err != nil {
			return err
		}
		newName, oldName := i.staged()
		if now == isOld && i.Old != "" && !w.holds(d, oldName, i.Old) {
			data, err := i.contents(w.pending, "old")
			if err != nil {
				return err
			}
			if err := d.preserve(i.Path, oldName, data, i.attrs()); err != nil {
				return err
			}
		}
		if now == isNew || i.New == "" || w.holds(d, newName, i.New) {
			return nil
		}
		return w.copyContents(d, i, "new", i.newAttrs())
	}
	return retry(func() error {
		err := stage()
		if errors.Is(err, fs.ErrNotExist) {
			w.forget(i.Area)
		}
		return err
	})
}

// copyContents writes the old or the new contents from the intent to a file next to the target, under the name for the new
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
	newName, _ := i.staged()
	return d.create(newName, data, a)
}

// holds reports whether a staged file is complete.
func (w *work) holds(d *dir, name, want string) bool {
	data, _, err := d.read(name)
	return err == nil && digest(data) == want
}

// advance puts one new file in place.
func (w *work) advance(i intentItem, now state) error {
	if now == isNew || i.New == "" && now == isAbsent {
		return nil
	}
	d, err := w.area(i.Area, false)
	if err != nil {
		return err
	}
	newName, _ := i.staged()
	switch {
	case i.New == "":
		return d.remove(i.Path)
	case now == isAbsent:
		return d.place(newName, i.Path)
	}
	return d.rename(newName, i.Path)
}

// unstage removes the staged files.
func (w *work) unstage() error {
	for _, i := range w.Files {
		d, err := w.area(i.Area, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		newName, oldName := i.staged()
		if err := errors.Join(d.remove(newName), d.remove(oldName)); err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty removes an empty directory of an area, or the empty directory of the area itself.
func (w *work) removeEmpty(a area, sub string) error {
	if sub == "." {
		w.forget(a)
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

// syncDirs makes the file names in the directories of all targets durable.
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
