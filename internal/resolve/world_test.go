package resolve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
)

// world is a Resolver with an empty store and a temporary working directory. The field notes has the notes of the Resolver.
type world struct {
	*Resolver
	notes bytes.Buffer
	dir   string
	// The field path has the paths that LookPath returns for the names of programs. The field vars has the environment
	// variables.
	path map[string]string
	vars map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	// Other users must be able to enter the directory, but the parent of a TempDir is closed to them.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, path: map[string]string{}, vars: map[string]string{}}
	note := func(format string, args ...any) { fmt.Fprintln(&w.notes, text.Cell(fmt.Sprintf(format, args...))) }
	find := func(s string) (string, error) {
		if p, ok := w.path[s]; ok {
			return p, nil
		}
		return "", &exec.Error{Name: s, Err: exec.ErrNotFound}
	}
	w.Resolver = &Resolver{
		Store: &install.Store{
			Units: filepath.Join(dir, "units"), Config: filepath.Join(dir, "config"), State: filepath.Join(dir, "state"),
			Journal: dir, Run: filepath.Join(dir, "run"), RuntimeUnits: filepath.Join(dir, "run", "systemd", "system"),
		},
		Guard: guard.Guard{Root: os.Geteuid() == 0, LookPath: find, Note: note}, Host: inspect.System(),
		Getenv: func(s string) string { return w.vars[s] }, Getwd: func() (string, error) { return filepath.Join(dir, "wd"), nil },
		LookPath: find, Note: note,
	}
	w.mkdir(t, "wd", 0o755)
	return w
}

// The method file creates a file with this mode in the directory of the world, regardless of the umask. It returns the path.
func (w *world) file(t *testing.T, name, data string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o600), os.Chmod(path, mode))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *world) mkdir(t *testing.T, name string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

// The method install puts an app into the store.
func (w *world) install(t *testing.T, a units.App) {
	t.Helper()
	set, err := units.Render(a, units.Target{
		Systemd: 252, Source: w.Store.ConfigPath(a.Name), Values: w.Store.ValuesPath(a.Name), Shim: units.DefaultShim,
		Sizing: a.Instances.Resolve(units.CPUs{Affinity: 2}),
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := w.Store.Plan(a.Name, set, config.EncodeNames(a))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := w.Store.Begin(plan)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tx.Write(), tx.Commit()); err != nil {
		t.Fatal(err)
	}
}

// isUsage reports whether an error is a usage error.
func isUsage(err error) bool {
	var usage *fault.UsageError
	return errors.As(err, &usage)
}
