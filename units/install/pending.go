package install

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

// Pending is the unfinished apply of a command that was killed.
type Pending struct {
	App units.Name
	// Command, PID and Since describe the process of that command.
	Command string
	PID     int
	Since   time.Time
	// Changes are the files of the app: the changed ones, the ones that were about to change, and the unchanged ones.
	Changes []Change
	// Uninstall means that the command was removing the app, KeepLogs that it was not going to remove the private journal,
	// and Scale that it was changing only the number of instances.
	Uninstall, KeepLogs, Scale bool
	// Was is the field of that name in the command's plan.
	Was Was
	// Untouched means that the command had not changed any file yet.
	Untouched bool

	store  Store
	intent intent
}

// Pending reads the intent that a killed command left, and reports whether there is one. It changes nothing. The lock must
// be held, otherwise the intent may belong to a process that is still running. An intent of a newer clusterctl is a
// [*VersionError]. An intent that other users may have written is an [*UnsafeStateError].
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

// op returns the operation that the old and the new contents imply.
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

// Rollback restores the files from before the command, and removes the intent. systemd must reload afterwards. If somebody
// else has changed a file since, it returns a [*ChangedError] and changes nothing. After an error or a kill, the intent
// remains and Rollback can be called again.
func (p *Pending) Rollback() error {
	w, err := p.store.newWork(p.intent)
	if errors.Is(err, fs.ErrNotExist) {
		// An earlier call has removed the intent.
		return nil
	}
	if err != nil {
		return err
	}
	defer w.close()
	return w.back()
}

// Restore is like Rollback, but keeps the intent (see [Tx.Restore]).
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

// RollForward completes the command: it puts the new files in place. The returned transaction is in the state after Write:
// reload systemd, then call Commit or Rollback. After an error or a kill, the intent remains, and RollForward or Rollback
// can be called again.
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
