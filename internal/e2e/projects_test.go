//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestAppsAreNamedAfterTheirProject installs programs with the same file name from different directories. The name of an
// app must be the name of the project directory. clusterctl install must not replace the app of another project without
// --replace. An install from another release directory of a project must update the app of this project.
func TestAppsAreNamedAfterTheirProject(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		t.Cleanup(func() { m.Must(t, "uninstall", "--yes", "all"); m.Sh(t, "rm -rf /srv/pr-*") })

		// Each of the three projects must get its own app.
		writeProjects(t, m, "daemon", "/srv/pr-a", "/srv/pr-r/releases/1", "/srv/pr-r/releases/2")
		writeProjects(t, m, "games", "/srv/pr-b")
		for port, dir := range map[string]string{"8131": "/srv/pr-a", "8132": "/srv/pr-b", "8133": "/srv/pr-r/releases/1"} {
			if r := deployProject(t, m, dir, port); r.Code != done {
				t.Fatalf("install in %s: %v", dir, r)
			}
			wantServedFrom(t, m, port, dir)
		}
		if got := appNames(t, m); got != "pr-a pr-b pr-r" {
			t.Fatalf("got the apps %q, want \"pr-a pr-b pr-r\"", got)
		}

		wantOtherProjectRefused(t, m)
		wantServedFrom(t, m, "8131", "/srv/pr-a")

		// Replace pr-a with the app of another project, and roll this change back.
		m.Must(t, "apply", "-f", "/root/apps.yaml", "--replace", "--yes", "--settle", "100ms")
		wantServedFrom(t, m, "8134", "/srv/pr-b")
		m.Must(t, "rollback", "pr-a", "--yes", "--settle", "100ms")
		wantServedFrom(t, m, "8131", "/srv/pr-a")

		// Install from the second release, from the link to the second release, and from the first release again.
		for _, d := range []string{"/srv/pr-r/releases/2", "/srv/pr-r/current", "/srv/pr-r/releases/1"} {
			m.Sh(t, "ln -sfn releases/2 /srv/pr-r/current")
			if r := deployProject(t, m, d, "8133"); r.Code != done {
				t.Errorf("install in %s: %v", d, r)
			}
		}
		wantServedFrom(t, m, "8133", "/srv/pr-r/releases/1")
		m.Sh(t, "mv /srv/pr-r /srv/pr-q")
		if r := deployProject(t, m, "/srv/pr-q/releases/2", "8133", "--name", "pr-r"); r.Code != done {
			t.Errorf("install in the renamed project directory: %v", r)
		}
		wantServedFrom(t, m, "8133", "/srv/pr-q/releases/2")

		// Earlier versions of clusterctl named an app after the program file. Such an app must keep its name.
		m.Sh(t, "systemctl stop pr-b")
		if r := deployProject(t, m, "/srv/pr-b", "8132", "--name", "server"); r.Code != done {
			t.Errorf("install with --name server: %v", r)
		}
		if r := deployProject(t, m, "/srv/pr-b", "8132"); r.Code != done {
			t.Errorf("install without --name: %v", r)
		}
		if got := appNames(t, m); got != "pr-a pr-b pr-r server" {
			t.Errorf("got the apps %q, want \"pr-a pr-b pr-r server\"", got)
		}
	})
}

// wantOtherProjectRefused fails the test unless install and apply refuse to replace pr-a with the app of another project.
// The error must name both projects. wantOtherProjectRefused also writes /root/apps.yaml, which replaces pr-a with the
// app of another project.
func wantOtherProjectRefused(t *testing.T, m *kit.Machine) {
	t.Helper()
	r := deployProject(t, m, "/srv/pr-b", "8134", "--name", "pr-a")
	if r.Code != usage || strings.Contains(r.Stderr, "probe:") || strings.Contains(r.Stderr, "--name pr-a ") {
		t.Errorf("install over the app of another project: want exit status %d and no probe: %v", usage, r)
	}
	wantError(t, r.Stderr, "pr-a is the app of /srv/pr-a (user daemon), not of /srv/pr-b (user games)",
		hint+"sudo clusterctl install", "--name pr-a-pr-b, or replace the app: --replace")
	m.WriteFile(t, "/root/apps.yaml",
		"name: pr-a\ncommand: [/usr/bin/python3, server.py]\ndirectory: /srv/pr-b\nrun-as: games\n"+
			"listen: 127.0.0.1:8134\nenv: {PORT: 8134}\n", 0o644)
	r = m.Clusterctl(t, "apply", "-f", "/root/apps.yaml")
	if r.Code != usage {
		t.Errorf("clusterctl apply over the app of another project: got exit status %d, want %d: %v", r.Code, usage, r)
	}
	wantError(t, r.Stderr, "pr-a is the app of /srv/pr-a (user daemon), not of /srv/pr-b (user games)",
		hint+"rename the app to pr-a-pr-b in the file, or replace the installed app: sudo clusterctl apply -f /root/apps.yaml --replace")
	if r := m.Must(t, "apply", "--dry-run", "-f", "/root/apps.yaml"); !strings.Contains(r.Stderr, "apply needs --replace") {
		t.Errorf("clusterctl apply --dry-run does not print that apply needs --replace: %v", r)
	}
}

// writeProjects writes server.py into each directory, and changes the owner of the directory.
func writeProjects(t *testing.T, m *kit.Machine, owner string, dirs ...string) {
	t.Helper()
	for _, d := range dirs {
		m.WriteFile(t, d+"/server.py", `import http.server as h, os
class H(h.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.getcwd().encode())
h.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
`, 0o644)
		m.Sh(t, "chown -R "+owner+": "+d)
	}
}

// deployProject installs server.py with dir as the current directory. The parameter extraFlags contains additional flags.
func deployProject(t *testing.T, m *kit.Machine, dir, port string, extraFlags ...string) lab.Result {
	t.Helper()
	return m.ClusterctlIn(t, dir, slices.Concat([]string{"install", "server.py", "--env", "PORT=" + port, "--settle", "100ms",
		"--probe-timeout", "1m"}, extraFlags)...)
}

// wantServedFrom fails the test unless the worker that answers on the port has the working directory dir.
func wantServedFrom(t *testing.T, m *kit.Machine, port, dir string) {
	t.Helper()
	if got := m.Sh(t, "curl -fsS --max-time 20 http://127.0.0.1:"+port); got != dir {
		t.Errorf("the worker on port %s has the working directory %q, want %q", port, got, dir)
	}
}

// appNames returns the names of all apps, separated by spaces.
func appNames(t *testing.T, m *kit.Machine) string {
	t.Helper()
	var all []string
	for _, a := range listApps(t, m) {
		all = append(all, a.Name)
	}
	return strings.Join(all, " ")
}
