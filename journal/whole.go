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

// Usage returns how many bytes the active and archived files of a journal use on disk and in memory.
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
			// Count blocks, because the files are sparse at the end.
			if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() {
				total += uint64(st.Blocks) * 512
			}
		}
	}
	return total, nil
}

// Flush removes all lines that are in a namespace now: it archives the active file and removes the archived
// files (journalctl(1), --rotate and --vacuum-size=). Lines that arrive during the call stay.
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

// Remove removes the files and the sockets of a namespace whose journald has stopped.
func Remove(namespace string) error {
	if namespace == "" {
		return errors.New("internal error: the journal of the machine must not be removed")
	}
	var errs []error
	for _, dir := range append(Existing(namespace), filepath.Join("/run/systemd", "journal."+namespace)) {
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("removing the journal %s: %w", namespace, err))
		}
	}
	return errors.Join(errs...)
}

// RemoveRuntime removes the files that the stopped journald of a namespace leaves in /run, but not the lines.
func RemoveRuntime(namespace string) error {
	if namespace == "" {
		return errors.New("internal error: the journal of the machine must not be removed")
	}
	return os.RemoveAll(filepath.Join("/run/systemd", "journal."+namespace))
}
