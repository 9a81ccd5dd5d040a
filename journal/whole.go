package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Usage returns the number of bytes that the files of the journal of a namespace use, on disk and in memory.
func Usage(namespace string) (uint64, error) { return usage(Existing(namespace)) }

func usage(dirs []string) (uint64, error) {
	var total uint64
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return 0, fmt.Errorf("measuring the journal: %w", err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed by a rotation
			}
			if err != nil {
				return 0, fmt.Errorf("measuring the journal: %w", err)
			}
			// Add up blocks instead of file sizes, because the end of each file is sparse.
			if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() {
				total += uint64(st.Blocks) * 512
			}
		}
	}
	return total, nil
}

// Flush removes all lines from the journal of a namespace: it archives the active file and removes the
// archived files (--rotate and --vacuum-size= of journalctl(1)). Lines that arrive during the call stay.
func Flush(ctx context.Context, namespace string) error {
	if namespace == "" {
		return errors.New("internal error: the journal of the machine must not be flushed")
	}
	for _, arg := range []string{"--rotate", "--vacuum-size=1"} {
		if _, err := output(ctx, append(namespaceArgument(namespace), arg)...); err != nil {
			return fmt.Errorf("flushing the journal %s: %w", namespace, err)
		}
	}
	return nil
}

// Remove removes the journal of a namespace and the sockets of its journald, which must have stopped.
func Remove(namespace string) error {
	if namespace == "" {
		return errors.New("internal error: the journal of the machine must not be removed")
	}
	var errs []error
	for _, dir := range append(Existing(namespace), socketDirectory+"."+namespace) {
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("removing the journal %s: %w", namespace, err))
		}
	}
	return errors.Join(errs...)
}

// RemoveRuntime removes the sockets of the journald of a namespace, which must have stopped, but not the
// journal.
func RemoveRuntime(namespace string) error {
	if namespace == "" {
		return errors.New("internal error: the journal of the machine must not be removed")
	}
	return os.RemoveAll(socketDirectory + "." + namespace)
}

// AccessError means that a journal exists, but the user is not allowed to read it.
type AccessError struct {
	// Path is the path of the file that could not be opened.
	Path string
	Err  error
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("reading the journal: opening %q: %v", e.Path, e.Err)
}

func (e *AccessError) Unwrap() error { return e.Err }

// CheckAccess returns an [*AccessError] if the user is not allowed to read the journal of the machine. In
// this case, journalctl returns no error, but prints only entries of the user's own processes, or nothing. If
// the machine has no journal, CheckAccess returns nil.
func CheckAccess() error { return checkAccess(Directories([]string{""})) }

func checkAccess(dirs []string) error {
	var denied error
	for _, dir := range dirs {
		path := filepath.Join(dir, "system.journal")
		f, err := os.Open(path)
		if err == nil {
			return f.Close()
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = &AccessError{Path: path, Err: fs.ErrPermission}
		}
	}
	return denied
}
