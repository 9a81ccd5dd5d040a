package install

import (
	"errors"
	"io/fs"
	"path"
	"slices"
)

// back makes all files the old ones and ends the intent.
func (w *work) back() error {
	if err := w.restoreAll(); err != nil {
		return err
	}
	return w.store.discard(w.App)
}

// restoreAll makes all files the old ones. The intent stays, so it can be repeated.
func (w *work) restoreAll() error {
	if _, err := w.pending.root.Lstat(untouchedFile); errors.Is(err, fs.ErrNotExist) {
		states, err := w.survey()
		if err != nil {
			return err
		}
		for n, i := range slices.Backward(w.Files) {
			if i.changes() {
				if err := w.restore(i, states[n]); err != nil {
					return err
				}
			}
		}
	}
	if err := w.unstage(); err != nil {
		return err
	}
	for _, d := range w.Dirs {
		if err := w.removeEmpty(d.Area, d.Path); err != nil {
			return err
		}
	}
	return w.syncDirs()
}

// restore makes one target the old one.
func (w *work) restore(i intentItem, now state) error {
	if now == isOld || i.Old == "" && now == isAbsent {
		return nil
	}
	d, err := w.area(i.Area, true)
	if err != nil {
		return err
	}
	if i.Old == "" {
		return d.remove(i.Path)
	}
	newName, oldName := i.staged()
	from := oldName
	if !w.holds(d, oldName, i.Old) {
		// The other name went when the apply was about to be final.
		from = newName
		data, err := i.contents(w.pending, "old")
		if err != nil {
			return err
		}
		if sub := path.Dir(i.Path); sub != "." {
			if err := d.mkdir(sub, dirMode); err != nil {
				return err
			}
		}
		if err := d.createWith(newName, data, i.attrs()); err != nil {
			return err
		}
	}
	if err := d.touch(from, w.store.now()); err != nil {
		return err
	}
	return d.rename(from, i.Path)
}

// commit ends the intent with the new files in place.
func (w *work) commit() error {
	if err := w.unstage(); err != nil {
		return err
	}
	for _, i := range w.Files {
		if sub := path.Dir(i.Path); i.New == "" && sub != "." {
			if err := w.removeEmpty(i.Area, sub); err != nil {
				return err
			}
		}
	}
	if err := w.syncDirs(); err != nil {
		return err
	}
	if w.Uninstall {
		if err := w.removeEmpty(configArea, "."); err != nil {
			return err
		}
		return w.store.forgetApp(w.App)
	}
	if !w.replaces() {
		return w.store.discard(w.App)
	}
	return w.store.keepRevision(w.App)
}

// replaces says whether there was an app before that is worth a revision.
func (w *work) replaces() bool {
	changed, before := false, false
	for _, i := range w.Files {
		// A rollback does not touch secrets, so a change of their list makes no revision.
		changed = changed || i.changes() && i.Path != w.App.SecretsDropIn()
		before = before || i.Area == configArea && i.Old != ""
	}
	return changed && before
}
