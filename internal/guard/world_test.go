package guard

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// world is a Guard with a temporary directory. The field notes has the notes of the Guard.
type world struct {
	Guard
	notes bytes.Buffer
	dir   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	// Other users must be able to enter the directory, but the parent of a TempDir is closed to them.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir}
	w.Guard = Guard{Root: os.Geteuid() == 0, LookPath: exec.LookPath, Note: func(format string, args ...any) {
		fmt.Fprintf(&w.notes, format+"\n", args...)
	}}
	return w
}

func (w *world) mkdir(t *testing.T, name string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *world) file(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}
