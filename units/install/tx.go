package install

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/clusterctl/clusterctl/units"
)

// Tx is an apply in progress. Only one goroutine may use a Tx.
type Tx struct {
	work *work
	done bool
}

// Begin writes the intent of a plan to disk, with the old and new contents of all files. The caller must hold the lock of
// the app, and must have held it when the plan was made. After an error, no file of the app has changed. If an intent exists
// already, the error is a [*PendingError].
func (s Store) Begin(p Plan) (*Tx, error) {
	in := intent{
		Version: intentVersion, App: p.App, Uninstall: p.Uninstall, Scale: p.Scale, KeepLogs: p.KeepLogs, Was: p.Was,
		Command: s.Command, PID: os.Getpid(), Since: s.now().UTC(),
	}
	for _, c := range p.Changes {
		item := intentItem{Op: c.Op.String(), Area: c.area, Path: c.rel, Mode: c.attrs.mode, Owner: c.attrs.owner}
		if c.Old != nil {
			item.Old = digest(c.Old)
		}
		if c.New != nil {
			item.New = digest(c.New)
		}
		in.Files = append(in.Files, item)
		for _, sub := range []string{path.Dir(c.rel), "."} {
			d := intentDir{c.area, sub}
			if c.New == nil || slices.Contains(in.Dirs, d) {
				continue
			}
			if _, err := os.Lstat(filepath.Join(s.areaDir(c.area), sub)); errors.Is(err, fs.ErrNotExist) {
				in.Dirs = append(in.Dirs, d)
			}
		}
	}
	err := retry(func() error { return s.begin(in, p.Changes) })
	if err != nil {
		return nil, err
	}
	w, err := s.newWork(in)
	if err != nil {
		return nil, err
	}
	return &Tx{work: w}, nil
}

// The method begin makes one attempt of Begin. The attempt fails if another command removes the empty state directory at the
// same time.
func (s Store) begin(in intent, changes []Change) error {
	if _, err := os.Lstat(filepath.Join(s.stateDir(in.App), pendingDir)); err == nil {
		return &PendingError{App: in.App}
	}
	if err := s.removeLeftovers(in.App); err != nil {
		return err
	}
	base, err := s.ensure(s.State, stateMode)
	if err != nil {
		return err
	}
	defer base.close()
	if err := base.makePrivate(); err != nil {
		return err
	}
	if err := base.mkdir(string(in.App), stateMode); err != nil {
		return err
	}
	if err := base.sync("."); err != nil {
		return err
	}
	state, err := s.open(s.stateDir(in.App))
	if err != nil {
		return err
	}
	defer state.close()
	if err := state.makePrivate(); err != nil {
		return err
	}
	if err := s.prepare(state, in, changes); err != nil {
		// The intent may be complete although the sync of its directory failed. No file of the app has changed, so remove
		// the intent.
		return errors.Join(err, s.discardIn(state, in.App))
	}
	return nil
}

// Stage does the parts of Write that need disk space or write permission. Stage changes no file that systemd reads. After an
// error, the caller must call Rollback.
func (t *Tx) Stage() error { return t.work.stageAll() }

// Write puts the new files in place: first the units, in the order of their paths, then the source. If Write fails, Write
// restores the old files and removes the intent. If the restore fails, too, the intent remains for the next command, and the
// error contains both failures.
func (t *Tx) Write() error {
	err := t.work.replaceAll()
	if err == nil {
		return nil
	}
	return errors.Join(err, t.Rollback())
}

// Commit completes the apply: the old files become a revision. After an uninstall, Commit removes all state of the app.
// After an error, the new files are in place, an intent may remain, and Commit or Rollback can be called again.
func (t *Tx) Commit() error { return t.end(t.work.commit) }

// Rollback restores the old files and removes the intent. If somebody else has changed a file since Begin, Rollback returns
// a [*ChangedError] and changes nothing. After an error, the intent remains and Rollback can be called again. If Write had
// succeeded, systemd must reload after Rollback. After Commit, after a failed Write or after another Rollback, Rollback does
// nothing.
func (t *Tx) Rollback() error { return t.end(t.work.rollback) }

// The method end calls the function step, unless an earlier call of end has succeeded.
func (t *Tx) end(step func() error) error {
	if t.done {
		return nil
	}
	if err := step(); err != nil {
		return err
	}
	t.done = true
	t.work.close()
	return nil
}

// Restore restores the old files like Rollback, but keeps the intent. A caller that must also restore the state of systemd
// calls Restore first and Rollback last. If the process is killed between these calls, the next command finds the intent and
// can continue.
func (t *Tx) Restore() error {
	if t.done {
		return nil
	}
	return t.work.restoreAll()
}

// The type Pending describes the unfinished apply of a command that was killed.
type Pending struct {
	intent
	// Changes are all files of the app, including files that do not change.
	Changes []Change
	// Untouched means that the command was killed before it changed a file of the app.
	Untouched bool

	store Store
}

// [Store.Pending] reads the intent that a killed command has left, reports whether the intent exists, and changes nothing.
// The caller must hold the lock of the app, because otherwise the intent may belong to a process that still runs. For an
// intent of a newer clusterctl, the error is a [*VersionError]. If other users could have written the intent, the error is
// an [*UnsafeStateError].
func (s Store) Pending(app units.Name) (*Pending, bool, error) {
	if err := s.safeState(app); err != nil {
		return nil, false, err
	}
	d, err := openDir(filepath.Join(s.stateDir(app), pendingDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer d.close()
	in, err := readIntent(d)
	if err != nil {
		return nil, false, err
	}
	if in.App != app {
		return nil, false, &Error{Op: "reading", Path: d.join(intentFile), Err: errors.New("it belongs to the app " + string(in.App))}
	}
	p := &Pending{intent: in, store: s}
	_, err = d.root.Lstat(untouchedFile)
	p.Untouched = err == nil
	for _, i := range in.Files {
		c := Change{Op: i.op(), Path: filepath.Join(s.areaDir(i.Area), i.Path), area: i.Area, rel: i.Path, attrs: i.attrs()}
		if i.Old != "" {
			if c.Old, err = i.contents(d, "old"); err != nil {
				return nil, false, err
			}
		}
		if i.New != "" {
			if c.New, err = i.contents(d, "new"); err != nil {
				return nil, false, err
			}
		}
		p.Changes = append(p.Changes, c)
	}
	return p, true, nil
}

// The method op returns the operation on the file, which follows from the old and the new contents.
func (i intentItem) op() Op {
	switch {
	case i.Old == i.New:
		return Keep
	case i.Old == "":
		return Create
	case i.New == "":
		return Remove
	}
	return Update
}

// Rollback restores the old files of the unfinished apply and removes the intent. systemd must reload after Rollback. If
// somebody else has changed a file since the apply, Rollback returns a [*ChangedError] and changes nothing. After an error
// or a kill, the intent remains and Rollback can be called again.
func (p *Pending) Rollback() error { return p.undo((*work).rollback) }

// Restore restores the old files like Rollback, but keeps the intent (see [Tx.Restore]).
func (p *Pending) Restore() error { return p.undo((*work).restoreAll) }

func (p *Pending) undo(step func(*work) error) error {
	w, err := p.store.newWork(p.intent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an earlier call has removed the intent file
	}
	if err != nil {
		return err
	}
	defer w.close()
	return step(w)
}

// RollForward puts the new files of the unfinished apply in place. The returned Tx is in the same state as after Write:
// systemd must reload, and then the caller calls Commit or Rollback. After an error or a kill, the intent remains, and
// RollForward or Rollback can be called again.
func (p *Pending) RollForward() (*Tx, error) {
	w, err := p.store.newWork(p.intent)
	if err != nil {
		return nil, err
	}
	if err := w.replaceAll(); err != nil {
		w.close()
		return nil, err
	}
	return &Tx{work: w}, nil
}
