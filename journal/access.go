package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// AccessError means that a journal exists, but this user is not allowed to read it.
type AccessError struct {
	// Path is the file that could not be opened.
	Path string
	Err  error
}

// Error returns a message with the path.
func (e *AccessError) Error() string {
	return fmt.Sprintf("reading the journal: opening %q: %v", e.Path, e.Err)
}

// Unwrap returns the cause; errors.Is finds fs.ErrPermission in it.
func (e *AccessError) Unwrap() error { return e.Err }

// CheckAccess returns an [*AccessError] if the user is not allowed to read the journal of the machine. journalctl
// does not report this as an error: it shows only entries of the user's own processes, or nothing. If the machine
// has no journal, CheckAccess returns nil.
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
