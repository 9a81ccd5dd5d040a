package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// AccessError says that a journal is there, and this user may not read it.
type AccessError struct {
	// Path is what could not be opened.
	Path string
	Err  error
}

// Error names the file.
func (e *AccessError) Error() string {
	return fmt.Sprintf("reading the journal: opening %q: %v", e.Path, e.Err)
}

// Unwrap gives the cause; errors.Is finds fs.ErrPermission in it.
func (e *AccessError) Unwrap() error { return e.Err }

// CheckAccess says by an [*AccessError] that the journal of the machine cannot be read: journalctl then shows what the
// user's own processes have written, or nothing, and it is no error for it. A machine without a journal is none either.
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
