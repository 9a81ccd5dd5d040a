package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestListed checks that Listed reads the number of instances from the drop-in. Without a drop-in, Listed returns an error
// with a hint.
func TestListed(t *testing.T) {
	dir := t.TempDir()
	s := Store{Units: filepath.Join(dir, "units"), Config: filepath.Join(dir, "config"), Packages: filepath.Join(dir, "packages")}
	_, err := s.Listed("web")
	var missing *InstanceListError
	if !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(missing.Hint(), "sudo clusterctl uninstall web") {
		t.Errorf("without a drop-in: got %v, want an InstanceListError with a hint", err)
	}
	path := filepath.Join(s.Units, "web.service.d", "50-instances.conf")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"[Service]\nEnvironment=\"CLUSTERCTL_INSTANCES=1 2 3\"\n": 3, "[Service]\n": 0} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Listed("web"); n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, error %v, want %d", text, n, err, want)
		}
	}
}
