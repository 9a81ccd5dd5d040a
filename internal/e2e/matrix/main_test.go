//go:build lab

package matrix

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// Where things are in a machine.
const (
	ctl     = kit.Ctl
	shim    = kit.Shim
	preload = "/usr/lib/clusterctl/clusterctl-node-preload.cjs"
	srv     = "/srv/matrix" // testdata, and what is built of it
)

// workers gives the shared machine that has every language, equipped.
func workers(t testing.TB) *lab.Machine {
	t.Helper()
	return machine(t, lab.Workers)
}

// machine gives the shared machine of a release, with clusterctl and the programs in it.
func machine(t testing.TB, r lab.Release) *lab.Machine {
	t.Helper()
	m := lab.Shared(t, r)
	equip(t, m)
	return m
}

// equip puts clusterctl and the programs into a machine, once.
func equip(t testing.TB, m *lab.Machine) {
	t.Helper()
	m.Equip(func() {
		kit.CopyIn(t, m)
		m.CopyIn(t, "../../../activation/shim/nodepreload/clusterctl-node-preload.cjs", preload)
		m.CopyIn(t, buildHTTPD(t), srv+"/httpd")
		copyTree(t, m, "testdata", srv)
		copyTree(t, m, "../../../packaging/examples/cluster-2021", srv+"/cluster-2021")
		m.WriteFile(t, srv+"/files/hello", "hello from a file\n", 0o644)
		m.WriteFile(t, srv+"/nginx/slow", "thirty bytes, very slowly....\n", 0o644)
		if m.Release() == lab.Workers {
			m.Sh(t, "cd "+srv+" && gcc -O1 -Wall -Werror -o server-c server.c && ln -s /opt/npm/node_modules express/node_modules")
		}
	})
}

// buildHTTPD builds the static Go server, as a file by itself: what is built as part of this module counts as a native
// worker.
func buildHTTPD(t testing.TB) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "httpd")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "testdata/httpd.go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building httpd.go: %v\n%s", err, msg)
	}
	return out
}

func copyTree(t testing.TB, m *lab.Machine, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err == nil {
			m.CopyIn(t, p, path.Join(to, filepath.ToSlash(rel)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs clusterctl in the directory of the programs of the machine.
func run(t testing.TB, m *lab.Machine, args ...string) lab.Result {
	t.Helper()
	return kit.Run(t, m, srv, args...)
}

// must runs clusterctl as run does, and ends the test when it fails.
func must(t testing.TB, m *lab.Machine, args ...string) lab.Result {
	t.Helper()
	return kit.Must(t, m, srv, args...)
}

// wantSaid fails the test when a command's output lacks one of the texts.
func wantSaid(t testing.TB, r lab.Result, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(r.Stdout+r.Stderr, s) {
			t.Errorf("%q is not said:\n%v", s, r)
		}
	}
}

// lines splits output into its lines that are not empty.
func lines(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
}

func itoa(n int) string { return fmt.Sprint(n) }
