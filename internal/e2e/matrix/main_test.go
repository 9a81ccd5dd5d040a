//go:build lab

package matrix

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// These are paths in a machine.
const (
	preload = "/usr/lib/clusterctl/clusterctl-node-preload.cjs"
	srv     = "/srv/matrix" // contains the files of testdata, and programs that are built from them
)

// suite returns the suite of this package, which copies the programs into its machines.
func suite() kit.Suite { return kit.Suite{Dir: srv, Equip: copyPrograms} }

// copyPrograms copies the programs of this package into a machine.
func copyPrograms(t testing.TB, m *kit.Machine) {
	t.Helper()
	m.CopyIn(t, "../../../activation/shim/nodepreload/clusterctl-node-preload.cjs", preload)
	m.CopyIn(t, buildHTTPD(t), srv+"/httpd")
	m.CopyTree(t, "testdata", srv)
	m.CopyTree(t, "../../../packaging/examples/cluster-2021", srv+"/cluster-2021")
	m.WriteFile(t, srv+"/files/hello", "hello from a file\n", 0o644)
	m.WriteFile(t, srv+"/nginx/slow", "thirty bytes, very slowly....\n", 0o644)
	if m.Release() == lab.Workers {
		m.Sh(t, "cd "+srv+" && gcc -O1 -Wall -Werror -o server-c server.c && ln -s /opt/npm/node_modules express/node_modules")
	}
}

// buildHTTPD builds testdata/httpd.go as a static program, and returns the path of the program. The program is built from
// a file and not from a package of this module, because clusterctl treats programs of this module as native workers.
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
