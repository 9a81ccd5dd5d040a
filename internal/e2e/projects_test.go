//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestAppsAreNamedAfterTheirProject: a program with a common file name is named after its project. The app of another
// project is replaced only with --replace. A deploy into a new directory still belongs to the same project.
func TestAppsAreNamedAfterTheirProject(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		const server = `import http.server as h, os
class H(h.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.getcwd().encode())
h.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
`
		files := func(owner string, dirs ...string) {
			t.Helper()
			for _, d := range dirs {
				m.WriteFile(t, d+"/server.py", server, 0o644)
				m.Sh(t, "chown -R "+owner+": "+d)
			}
		}
		deploy := func(dir, port string, more ...string) lab.Result {
			t.Helper()
			return m.ClusterctlIn(t, dir, slices.Concat([]string{"install", "server.py", "--env", "PORT=" + port, "--settle", "100ms",
				"--probe-timeout", "1m"}, more)...)
		}
		serves := func(port, dir string) {
			t.Helper()
			if got := m.Sh(t, "curl -fsS --max-time 20 http://127.0.0.1:"+port); got != dir {
				t.Errorf("port %s is served from %q, want %q", port, got, dir)
			}
		}
		names := func() string {
			t.Helper()
			var all []string
			for _, a := range listApps(t, m) {
				all = append(all, a.Name)
			}
			return strings.Join(all, " ")
		}
		t.Cleanup(func() { m.Must(t, "uninstall", "--yes", "all"); m.Sh(t, "rm -rf /srv/pr-*") })

		// Each of three projects gets its own app.
		files("daemon", "/srv/pr-a", "/srv/pr-r/releases/1", "/srv/pr-r/releases/2")
		files("games", "/srv/pr-b")
		for port, dir := range map[string]string{"8131": "/srv/pr-a", "8132": "/srv/pr-b", "8133": "/srv/pr-r/releases/1"} {
			if r := deploy(dir, port); r.Code != done {
				t.Fatalf("%s: %v", dir, r)
			}
			serves(port, dir)
		}
		if got := names(); got != "pr-a pr-b pr-r" {
			t.Fatalf("the apps are %q", got)
		}

		// install and apply refuse to replace the app of another project, and name both projects. Nothing is run or
		// changed.
		r := deploy("/srv/pr-b", "8134", "--name", "pr-a")
		if r.Code != usage || strings.Contains(r.Stderr, "probe:") || strings.Contains(r.Stderr, "--name pr-a ") {
			t.Errorf("install over the app of another project: %v", r)
		}
		wantError(t, r.Stderr, "pr-a is the app of /srv/pr-a (user daemon), not of /srv/pr-b (user games)",
			hint+"sudo clusterctl install", "--name pr-a-pr-b, or replace the app: --replace")
		m.WriteFile(t, "/root/apps.yaml",
			"name: pr-a\ncommand: [/usr/bin/python3, server.py]\ndirectory: /srv/pr-b\nrun-as: games\n"+
				"listen: 127.0.0.1:8134\nenv: {PORT: 8134}\n", 0o644)
		r = m.Clusterctl(t, "apply", "-f", "/root/apps.yaml")
		if r.Code != usage {
			t.Errorf("apply over the app of another project: %v", r)
		}
		wantError(t, r.Stderr, "pr-a is the app of /srv/pr-a (user daemon), not of /srv/pr-b (user games)",
			hint+"name it pr-a-pr-b in the file, or replace the app: sudo clusterctl apply -f /root/apps.yaml --replace")
		if r := m.Must(t, "apply", "--dry-run", "-f", "/root/apps.yaml"); !strings.Contains(r.Stderr, "apply needs --replace") {
			t.Errorf("a dry run: %v", r)
		}
		serves("8131", "/srv/pr-a")

		// Replace the app on request, and then replace it back.
		m.Must(t, "apply", "-f", "/root/apps.yaml", "--replace", "--yes", "--settle", "100ms")
		serves("8134", "/srv/pr-b")
		m.Must(t, "rollback", "pr-a", "--yes", "--settle", "100ms")
		serves("8131", "/srv/pr-a")

		// Deploy from the next release, from the link to it, and from the first release again.
		for _, d := range []string{"/srv/pr-r/releases/2", "/srv/pr-r/current", "/srv/pr-r/releases/1"} {
			m.Sh(t, "ln -sfn releases/2 /srv/pr-r/current")
			if r := deploy(d, "8133"); r.Code != done {
				t.Errorf("%s: %v", d, r)
			}
		}
		serves("8133", "/srv/pr-r/releases/1")
		m.Sh(t, "mv /srv/pr-r /srv/pr-q")
		if r := deploy("/srv/pr-q/releases/2", "8133", "--name", "pr-r"); r.Code != done {
			t.Errorf("a project that has moved: %v", r)
		}
		serves("8133", "/srv/pr-q/releases/2")

		// An app that an earlier clusterctl has named after the file keeps its name.
		m.Sh(t, "systemctl stop pr-b")
		if r := deploy("/srv/pr-b", "8132", "--name", "server"); r.Code != done {
			t.Errorf("by name: %v", r)
		}
		if r := deploy("/srv/pr-b", "8132"); r.Code != done {
			t.Errorf("without a name: %v", r)
		}
		if got := names(); got != "pr-a pr-b pr-r server" {
			t.Errorf("the apps are %q", got)
		}
	})
}
