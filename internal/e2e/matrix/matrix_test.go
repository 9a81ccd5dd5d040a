//go:build lab

package matrix

import (
	"fmt"

	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// The type program describes an unmodified program that the tests install.
type program struct {
	name string
	port int
	// The field args holds the arguments of "clusterctl install" except the instance count, the name and --listen. The
	// probe finds the port.
	args []string
	path string // the path of the requests; "/hello" if empty
}

func (p program) String() string { return p.name }

func (p program) request() string {
	if p.path == "" {
		return "/hello"
	}
	return p.path
}

// portFlags returns a flag that sets the variable PORT, followed by the arguments in args. Most programs in testdata
// read their port from this variable.
func portFlags(n int, args ...string) []string {
	return append([]string{"--env", fmt.Sprintf("PORT=%d", n)}, args...)
}

// programsOnEachSystemd returns the programs that are tested on all four releases.
func programsOnEachSystemd() []program {
	return []program{
		{name: "m-node", port: 8301, args: portFlags(8301, "node.js")},
		{name: "m-go", port: 8302, args: portFlags(8302, "./httpd")},
		{name: "m-python", port: 8303, args: portFlags(8303, "server.py")},
	}
}

// programsOfWorkersImage returns the programs that are installed only in the image lab.Workers.
func programsOfWorkersImage() []program {
	return []program{
		{name: "m-express", port: 8304, args: portFlags(8304, "express")},
		{name: "m-bun", port: 8305, args: portFlags(8305, "bun.ts")},
		// Deno needs a cache directory, because a dynamic user has no home directory.
		{name: "m-deno", port: 8306, args: portFlags(8306, "--env", "DENO_DIR=/tmp/deno", "x", "--", "deno", "run", "-A", "deno.ts")},
		{name: "m-gunicorn", port: 8307, args: []string{"x", "--", "gunicorn", "-w", "2", "-b", "0.0.0.0:8307", "wsgi:app"}},
		{name: "m-uvicorn", port: 8308, args: []string{"x", "--", "uvicorn", "--port", "8308", "asgi:app"}},
		{name: "m-aiohttp", port: 8309, args: portFlags(8309, "aiohttp_app.py")},
		{name: "m-ruby", port: 8310, args: portFlags(8310, "server.rb")},
		{name: "m-php", port: 8311, args: []string{"x", "--", "php", "-S", "0.0.0.0:8311", "index.php"}},
		{name: "m-nginx", port: 8312, args: []string{"x", "--", "nginx", "-c", srv + "/nginx.conf"}},
		{name: "m-c", port: 8313, args: portFlags(8313, "./server-c")},
	}
}

// TestMatrix runs each program unmodified, with two and with four instances.
func TestMatrix(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	runConcurrently(t, 5, slices.Concat(programsOnEachSystemd(), programsOfWorkersImage()), func(t *testing.T, p program) {
		installReloadUninstall(t, m, p, 2)
		installReloadUninstall(t, m, p, 4)
	})
	wantInventory(t, m, before)
}

// TestMatrixOnEachSystemd runs three programs on each of the four releases.
func TestMatrixOnEachSystemd(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		before := takeInventory(t, m)
		runConcurrently(t, 3, programsOnEachSystemd(), func(t *testing.T, p program) { installReloadUninstall(t, m, p, 2) })
		wantInventory(t, m, before)
	})
}

// installReloadUninstall installs a program with n instances, sends requests until every instance has answered, reloads
// the app under load, and uninstalls the app. No request may be lost.
func installReloadUninstall(t *testing.T, m *kit.Machine, p program, n int) {
	a := install(t, m, p.name, n, p.port, p.args...)
	kit.WantOutput(t, a.Output, fmt.Sprint(p.port))
	a.WantActive(t)
	wantAllAnswer(t, a, p.request(), hello)

	old := a.PIDs(t)
	run := load.Start(t, m, load.Options{URL: a.URL(p.request()), Conns: 4, Rate: rate / 5, WorkerHeader: bodies})
	m.Sh(t, "systemctl reload "+a.Name)
	r := run.Stop()
	responsesByPID(t, r, hello)
	kit.WantNoneLost(t, fmt.Sprintf("a reload of %d instances", n), r)
	kit.WantReplaced(t, old, a.PIDs(t))
	a.WantActive(t)
	wantAllAnswer(t, a, p.request(), hello)
	a.Uninstall(t)
}

// TestHTTPServerModule runs the command "python3 -m http.server" on all four releases. The responses of this server do
// not contain a PID, so the test checks the access log of each instance in the journal.
func TestHTTPServerModule(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		before := takeInventory(t, m)
		a := install(t, m, "m-module", 2, 8314, "x", "--", "python3", "-m", "http.server", "8314", "--directory", srv+"/files")
		run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 8, Rate: rate / 5, WorkerHeader: bodies})
		for i := range a.Instances {
			m.AwaitJournal(t, "GET /hello", "-u", a.Unit(i+1))
		}
		m.Sh(t, "systemctl reload "+a.Name)
		r := run.Stop()
		if r.Failed() > 0 || r.Workers["hello from a file"] != r.OK {
			t.Errorf("%d requests failed or had a wrong response during a reload, want 0: %v",
				r.Requests-r.Workers["hello from a file"], r)
		}
		a.Uninstall(t)
		wantInventory(t, m, before)
	})
}
