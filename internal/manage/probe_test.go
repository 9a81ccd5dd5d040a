package manage

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReadReport checks that readReport returns an error for files that the shim cannot have written, and does not block on
// a FIFO.
func TestReadReport(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("good"), []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := readReport(path("good")); err != nil || string(data) != "{}" {
		t.Errorf("got %q, error %v, want {}", data, err)
	}
	if err := os.WriteFile(path("large"), make([]byte, maxReport+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path("good"), path("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"large", "link", "fifo", "gone", "."} {
		if data, err := readReport(path(name)); err == nil {
			t.Errorf("%s: got %d bytes, want an error", name, len(data))
		}
	}
}
