package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxSilentEnds is how often in a row journalctl may end without having given a single entry before that is an error.
const maxSilentEnds = 3

// follow gives what comes after the cursor until ctx ends. journalctl itself goes on through a rotation and a restart of
// journald; when it ends all the same, the next one begins where it ended.
func (r *reader) follow(ctx context.Context) error {
	silent := 0
	for {
		before := r.cursor
		err := r.followOnce(ctx)
		var wrong *ArgumentError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errSourcesChanged):
			continue
		case errors.As(err, &wrong):
			return err
		}
		var sinkErr *sinkError
		if errors.As(err, &sinkErr) {
			return sinkErr.err
		}
		if silent++; r.cursor != before {
			silent = 0
		}
		if silent >= maxSilentEnds {
			if err == nil {
				err = fmt.Errorf("%s ended again and again", program)
			}
			return err
		}
	}
}

// sinkError is an error of the sink, after which there is nothing to go on for.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// errSourcesChanged: there is a journal that was not there when journalctl was started.
var errSourcesChanged = errors.New("the directories of the journal have changed")

// followOnce runs one journalctl.
func (r *reader) followOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := part{lines: AllLines, follow: true, cursor: r.cursor}
	if b, err := newBell(r.query.namespaceNames()); err == nil {
		defer b.close()
		p.directory = b.dir
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.ring(ctx, func() { cancel(errSourcesChanged) })
		}()
		defer func() { cancel(nil); <-done }()
	}
	first := true
	err := r.run(ctx, r.query.arguments(p), func(e *Entry) error {
		// --after-cursor would skip a wanted entry when the one at the cursor is not wanted itself (measured on 252).
		if first && string(e.Cursor()) == p.cursor {
			first = false
			return nil
		}
		first = false
		if err := r.entry(e); err != nil {
			return &sinkError{err}
		}
		return nil
	})
	if cause := context.Cause(ctx); errors.Is(cause, errSourcesChanged) {
		return cause
	}
	return err
}

// namespaceNames are the journals of the query, that of the machine, "", first.
func (q Query) namespaceNames() []string {
	names := []string{""}
	for _, s := range q.Scopes {
		if !slices.Contains(names, s.Namespace) {
			names = append(names, s.Namespace)
		}
	}
	return names
}

// bell wakes journalctl. journald tells readers about new entries only 250 ms after the first of them, so that a line was
// seen 250 to 500 ms after it was written (measured on 247 to 262); but the entry itself can be read at once. journalctl
// looks for entries whenever anything happens in a directory that it watches. So it is given a directory of ours, with
// links to those of the journal, in which something happens often.
type bell struct {
	dir string
	// candidates are where journals may be, links those that there are.
	candidates, links []string
}

// bellInterval is how late a line can be.
const bellInterval = 50 * time.Millisecond

// newBell makes the directory. Without one, journalctl follows as it does by itself.
func newBell(namespaces []string) (_ *bell, err error) {
	b := &bell{candidates: Directories(namespaces)}
	b.links = existing(b.candidates)
	if len(b.links) == 0 {
		return nil, errors.New("there is no journal")
	}
	if b.dir, err = os.MkdirTemp("", "clusterctl-logs-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	for i, target := range b.links {
		// Any name that could be the ID of a machine is taken for the journal of one.
		if err := os.Symlink(target, filepath.Join(b.dir, fmt.Sprintf("%032x", i+1))); err != nil {
			return nil, err
		}
	}
	return b, os.WriteFile(b.file(), nil, 0o600)
}

func (b *bell) file() string { return filepath.Join(b.dir, "bell") }
func (b *bell) close()       { _ = os.RemoveAll(b.dir) }

// ring touches the file until ctx ends, or until another journal has appeared.
func (b *bell) ring(ctx context.Context, changed func()) {
	// Nothing announces an entry earlier than journald does, so there is no event to wait for.
	tick := time.NewTicker(bellInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := os.Chtimes(b.file(), now, now); err != nil {
				// Somebody has removed it; journalctl is then woken by journald alone.
				return
			}
			for _, dir := range existing(b.candidates) {
				if !slices.Contains(b.links, dir) {
					changed()
					return
				}
			}
		}
	}
}

// Directories are where journald keeps the journals of these namespaces, "" being that of the machine, be they there or
// not: on disk, and in memory (systemd-journald.service(8)).
func Directories(namespaces []string) []string {
	id, err := os.ReadFile("/etc/machine-id")
	machine := strings.TrimSpace(string(id))
	if err != nil || machine == "" {
		return nil
	}
	var dirs []string
	for _, ns := range namespaces {
		name := machine
		if ns != "" {
			name += "." + ns
		}
		for _, root := range []string{"/var/log/journal", "/run/log/journal"} {
			dirs = append(dirs, filepath.Join(root, name))
		}
	}
	return dirs
}

// Existing are the directories of a journal that are there.
func Existing(namespace string) []string { return existing(Directories([]string{namespace})) }

func existing(dirs []string) []string {
	return slices.DeleteFunc(slices.Clone(dirs), func(d string) bool {
		info, err := os.Stat(d)
		return err != nil || !info.IsDir()
	})
}
