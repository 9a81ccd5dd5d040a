package install

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// Pending is what a command that was killed left behind.
type Pending struct {
	App units.Name
	// Command, PID and Since are those of the command.
	Command string
	PID     int
	Since   time.Time
	// Changes are the files that it was about to change, or had changed, and those it kept.
	Changes []Change
	// Uninstall says that it was removing the app, KeepLogs that it was to leave the app's own journal, and Scale that it was
	// only changing the number of instances.
	Uninstall, KeepLogs, Scale bool
	// Was is that of its plan.
	Was Was
	// Untouched says that it had not changed a file yet.
	Untouched bool

	store  Store
	intent intent
}

// Pending reads the intent that a killed command left behind, and says whether there is one. It changes nothing. Hold
// the lock: otherwise what it finds may be the apply of a process that is still at work. An intent of a newer clusterctl
// is a [*VersionError], and one that somebody else may have written is an [*UnsafeStateError].
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
		return nil, false, &Error{Op: "reading", Path: d.join(intentFile), Err: errors.New("it is of the app " + string(in.App))}
	}
	p := &Pending{
		App: app, Command: in.Command, PID: in.PID, Since: in.Since, Uninstall: in.Uninstall, KeepLogs: in.KeepLogs,
		Scale: in.Scale, Was: in.Was,
		store: s, intent: in,
	}
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

// op follows from the contents.
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

// Rollback puts back what was there before the command, and removes the intent; systemd must reload afterwards. A file
// that somebody else has changed since is a [*ChangedError], and nothing is done. After any error, or a kill, the intent
// stays and it can be called again.
func (p *Pending) Rollback() error {
	w, err := p.store.newWork(p.intent)
	if errors.Is(err, fs.ErrNotExist) {
		// It has been dealt with already.
		return nil
	}
	if err != nil {
		return err
	}
	defer w.close()
	return w.back()
}

// Restore is Rollback with the intent left in place, as [Tx.Restore] is.
func (p *Pending) Restore() error {
	w, err := p.store.newWork(p.intent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.close()
	return w.restoreAll()
}

// RollForward puts the new files in place. The transaction that it returns is as after Write: reload systemd, then
// Commit or Rollback. After an error, or a kill, the intent stays and it can be called again, as Rollback can.
func (p *Pending) RollForward() (*Tx, error) {
	w, err := p.store.newWork(p.intent)
	if err != nil {
		return nil, err
	}
	if err := w.forward(); err != nil {
		w.close()
		return nil, err
	}
	return &Tx{work: w}, nil
}
