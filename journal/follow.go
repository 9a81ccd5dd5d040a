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

// If journalctl ends maxSilentEnds times in a row without a new entry, the method follow returns an error.
const maxSilentEnds = 3

// The method follow passes the entries after the cursor to the sink until ctx ends. A rotation or a restart of journald
// does not end journalctl. If journalctl ends for another reason, follow starts it again at the last entry.
func (r *reader) follow(ctx context.Context) error {
	silent := 0
	for {
		before := r.cursor
		err := r.followOnce(ctx)
		var wrong *ArgumentError
		var sinkErr *sinkError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errSourcesChanged):
			continue
		case errors.As(err, &wrong):
			return err
		case errors.As(err, &sinkErr):
			return sinkErr.err
		}
		if silent++; r.cursor != before {
			silent = 0
		}
		if silent >= maxSilentEnds {
			if err == nil {
				err = fmt.Errorf("%s ended %d times without a new entry", program, silent)
			}
			return err
		}
	}
}

// sinkError is an error of the sink, after which follow must stop.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// errSourcesChanged means that a new journal has appeared since journalctl was started.
var errSourcesChanged = errors.New("the directories of the journal have changed")

// followOnce runs journalctl once, and returns when journalctl ends or a new journal appears.
func (r *reader) followOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := part{lines: AllLines, follow: true, cursor: r.cursor}
	if w, err := newWaker(r.query.namespaceNames()); err == nil {
		defer w.close()
		p.directory = w.dir
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.wake(ctx, func() { cancel(errSourcesChanged) })
		}()
		defer func() { cancel(nil); <-done }()
	}
	first := true
	err := r.run(ctx, r.query.arguments(p), func(e *Entry) error {
		// --after-cursor would skip a matching entry if the entry at the cursor does not match (measured on systemd 252).
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

// namespaceNames returns the namespaces of the query. The first element is always "", the journal of the machine.
func (q Query) namespaceNames() []string {
	names := []string{""}
	for _, s := range q.Scopes {
		if !slices.Contains(names, s.Namespace) {
			names = append(names, s.Namespace)
		}
	}
	return names
}

// waker makes journalctl print new entries earlier. journald writes entries to mapped memory, which causes no inotify
// event. 250 ms after the first new entry, journald calls ftruncate(2) on the file (POST_CHANGE_TIMER_INTERVAL_USEC,
// journal_file_post_change). sd_journal_wait(3) waits for this event, although the entry could be read before. journalctl
// reads new entries after any event in a directory that it watches. So journalctl reads from a directory of waker with
// links to the directories of the journal, and waker touches a file in this directory.
//
// waker touches the file 20 times per second. The table shows the effect on systemd 252 and 257. The latency, from the
// write of a line to its output, is in ms (BenchmarkLatency in bench/logs). The CPU time of clusterctl and journalctl is
// in ms per second (/proc/PID/schedstat).
//
//	                             with waker    without
//	median                          24, 25   245, 240
//	99th percentile                 50, 50   479, 479
//	CPU, nothing to read          7.6, 7.6       0, 0
//	CPU, 1000 lines per second      25, 21     17, 11
//
// The median latency of "logs" must be at most 100 ms. waker also checks for new journals, because a running journalctl
// does not read them (see followAgain).
type waker struct {
	dir string
	// The candidates are the possible directories of the journals. The links are the candidates that existed when the
	// waker was created.
	candidates, links []string
}

// wakeInterval is the interval at which waker touches the file.
const wakeInterval = 50 * time.Millisecond

// newWaker creates the directory. If it returns an error, journalctl reads the journal directly, with its usual delay.
func newWaker(namespaces []string) (_ *waker, err error) {
	w := &waker{candidates: Directories(namespaces)}
	w.links = existingDirs(w.candidates)
	if len(w.links) == 0 {
		return nil, errors.New("there is no journal")
	}
	if w.dir, err = os.MkdirTemp("", "clusterctl-logs-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for i, target := range w.links {
		// journalctl reads every subdirectory whose name could be a machine ID.
		if err := os.Symlink(target, filepath.Join(w.dir, fmt.Sprintf("%032x", i+1))); err != nil {
			return nil, err
		}
	}
	return w, os.WriteFile(w.file(), nil, 0o600)
}

func (w *waker) file() string { return filepath.Join(w.dir, "wake") }
func (w *waker) close()       { _ = os.RemoveAll(w.dir) }

// The method wake touches the file at each interval until ctx ends or a new journal appears.
func (w *waker) wake(ctx context.Context, changed func()) {
	tick := time.NewTicker(wakeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := os.Chtimes(w.file(), now, now); err != nil {
				// Somebody has removed the file. journalctl continues with its usual delay.
				return
			}
			for _, dir := range existingDirs(w.candidates) {
				if !slices.Contains(w.links, dir) {
					changed()
					return
				}
			}
		}
	}
}

// Directories returns the directories of the journals of namespaces, on disk and in memory (systemd-journald.service(8)).
// Some of these directories may not exist. The namespace "" is the journal of the machine.
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

// Existing returns the existing directories of the journal of a namespace.
func Existing(namespace string) []string { return existingDirs(Directories([]string{namespace})) }

func existingDirs(dirs []string) []string {
	return slices.DeleteFunc(slices.Clone(dirs), func(d string) bool {
		info, err := os.Stat(d)
		return err != nil || !info.IsDir()
	})
}
