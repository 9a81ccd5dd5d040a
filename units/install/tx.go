package install

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Tx is an apply in progress. It is not safe for concurrent use.
type Tx struct {
	work *work
	done bool
}

// Begin puts the intent of a plan on disk, with all contents. The lock of the app must be held from before the plan was
// made. After an error nothing of the app has changed. An intent that is there already is a [*PendingError].
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

// begin is Begin for a state directory that another command may remove while it is empty.
func (s Store) begin(in intent, changes []Change) error {
	if _, err := os.Lstat(filepath.Join(s.stateDir(in.App), pendingDir)); err == nil {
		return &PendingError{App: in.App}
	}
	if err := s.sweep(in.App); err != nil {
		return err
	}
	base, err := s.ensure(s.State, stateMode)
	if err != nil {
		return err
	}
	defer base.close()
	if err := base.private(); err != nil {
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
	if err := state.private(); err != nil {
		return err
	}
	if err := s.prepare(state, in, changes); err != nil {
		// The intent may have appeared and only its directory not have been synced; it changes nothing yet, so it goes.
		return errors.Join(err, s.drop(state, in.App))
	}
	return nil
}

// Stage does all of Write that needs space on the disk or the right to write there, and changes no file that systemd reads.
// After an error the caller calls Rollback.
func (t *Tx) Stage() error { return t.work.stageAll() }

// Write puts the new files in place: units first, in the order of their paths, then the source. After an error the old
// ones are back and the intent is gone; or the error says what could not be put back, and the intent stays for the next
// command.
func (t *Tx) Write() error {
	err := t.work.forward()
	if err == nil {
		return nil
	}
	return errors.Join(err, t.Rollback())
}

// Commit makes the change final: the old files become a revision, or nothing of the app remains when it was uninstalled.
// After an error the new files are in place and the intent may still be there; Commit and Rollback can be called again.
func (t *Tx) Commit() error {
	if t.done {
		return nil
	}
	if err := t.work.commit(); err != nil {
		return err
	}
	t.close()
	return nil
}

// Restore is Rollback with the intent left in place, for those who have more to put back than files: Rollback ends it
// when that is done, and a process that is killed in between leaves the next command enough to go on.
func (t *Tx) Restore() error {
	if t.done {
		return nil
	}
	return t.work.restoreAll()
}

// Rollback puts back what was there, but for a file that somebody else has changed since, which is a [*ChangedError] and
// changes nothing. systemd must reload afterwards if Write had succeeded. After an error the intent stays, and it can be
// called again. After Commit, a failed Write or a first Rollback it does nothing.
func (t *Tx) Rollback() error {
	if t.done {
		return nil
	}
	if err := t.work.back(); err != nil {
		return err
	}
	t.close()
	return nil
}

func (t *Tx) close() {
	t.done = true
	t.work.close()
}
