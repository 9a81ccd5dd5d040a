package install

import (
	"errors"
	"io/fs"
	"path"
	"slices"
)

// The method rollback restores all old files and removes the intent.
func (w *work) rollback() error {
	if err := w.restoreAll(); err != nil {
		return err
	}
	return w.store.discard(w.App)
}

// restoreAll restores all old files. restoreAll keeps the intent, so it can be called again.
func (w *work) restoreAll() error {
	if _, err := w.pending.root.Lstat(untouchedFile); errors.Is(err, fs.ErrNotExist) {
		states, err := w.currentStates()
		if err != nil {
			return err
		}
		for n, i := range slices.Backward(w.Files) {
			if i.isChange() {
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
	newName, oldName := i.stagedNames()
	from := oldName
	if !w.isStaged(d, oldName, i.Old) {
		// The method commit has already removed the copy of the old file, so write the old contents from the intent.
		from = newName
		if err := w.copyContents(d, i, "old", i.attrs()); err != nil {
			return err
		}
	}
	if err := d.touch(from, w.store.now()); err != nil {
		return err
	}
	return d.rename(from, i.Path)
}

// The method commit removes the copies of the old files. The intent becomes a revision or is removed. The new files stay in
// place.
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
		return w.store.removeState(w.App)
	}
	if !w.needsRevision() {
		return w.store.discard(w.App)
	}
	return w.store.keepRevision(w.App)
}

// needsRevision reports whether the apply changes files of an app that was already installed. The old files then become a
// revision.
func (w *work) needsRevision() bool {
	changed, before := false, false
	for _, i := range w.Files {
		// A rollback does not restore secrets, so an apply that changes only the list of secrets makes no revision.
		changed = changed || i.isChange() && i.Path != w.App.SecretsDropIn()
		before = before || i.Area == configArea && i.Old != ""
	}
	return changed && before
}
