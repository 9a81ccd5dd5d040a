package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
)

// world is an env for tests. It has an empty store and a temporary working directory, but no systemd.
type world struct {
	*env
	out, err bytes.Buffer
	dir      string
	// path maps the names of programs to the paths that lookPath returns.
	path map[string]string
	vars map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	// Other users cannot enter the parent directory of t.TempDir(), and some tests check what other users may do.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, path: map[string]string{}, vars: map[string]string{}}
	w.env = &env{
		stdin: strings.NewReader(""), stdout: &w.out, stderr: &w.err,
		getenv: func(s string) string { return w.vars[s] },
		booted: func() bool { return true },
		getwd:  func() (string, error) { return filepath.Join(dir, "wd"), nil },
		lookPath: func(s string) (string, error) {
			if p, ok := w.path[s]; ok {
				return p, nil
			}
			return "", &exec.Error{Name: s, Err: exec.ErrNotFound}
		},
		stat: os.Stat, readFile: os.ReadFile,
		now:   func() time.Time { return time.Unix(1_700_000_000, 0) },
		store: testStore(dir), killed: new(manage.Kills),
		shim: "/usr/lib/clusterctl/clusterctl-shim",
		dial: func(context.Context) (*control.Conn, error) {
			return nil, fmt.Errorf("%w: this is a test", control.ErrNoSystemd)
		},
	}
	w.mkdir(t, "wd", 0o755)
	return w
}

// The method do runs a command line and returns its exit status. It writes the output of the command to w.out and w.err.
func (w *world) do(args ...string) int {
	return w.doContext(context.Background(), args...)
}

func (w *world) doContext(ctx context.Context, args ...string) int {
	w.out.Reset()
	w.err.Reset()
	w.quiet = false
	return run(ctx, w.env, append([]string{"clusterctl"}, args...))
}

// The method file creates a file in the directory of the world and returns its path. The file gets exactly this mode,
// whatever the umask is.
func (w *world) file(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
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

// installApp writes an app with n instances to the store. It does not start the app.
func (w *world) installApp(t *testing.T, name units.Name, n int, listen ...units.Listener) units.App {
	t.Helper()
	a := units.App{Name: name, Command: []string{"/bin/true"}, Instances: units.Count{N: n}, Listen: listen, Activation: units.Native}
	set, err := units.Render(a, units.Target{
		Systemd: 252, Source: w.store.ConfigPath(name), Shim: w.shim, Sizing: a.Instances.Resolve(units.CPUs{Affinity: 2}),
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := w.store.Plan(name, set, config.Encode(a))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := w.store.Begin(plan)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tx.Write(), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	return a
}
