//go:build lab

package hostile

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// program is the file name of the hostile worker in the directory of each app.
const program = "hostile-worker"

// The type kind describes an app for the tests. Each kind of app has a different sandbox.
type kind struct {
	name      string
	directory string
	owner     string // the owner of the directory
	port      int
	flags     []string
}

// The function kinds returns all kinds of apps.
func kinds() []kind {
	return []kind{
		{name: "adopted", directory: "/srv/adopted", owner: "web", port: 8301},
		{name: "native", directory: "/srv/native", owner: "web", port: 8302,
			flags: []string{"--activation", "native", "--ready", "notify", "--env", "HOSTILE_NATIVE=1"}},
		{name: "root", directory: "/srv/root", owner: "root", port: 8303, flags: []string{"--run-as", "root"}},
		{name: "home", directory: "/home/alice/app", owner: "alice", port: 8304},
		{name: "dynamic", directory: "/opt/dynamic", owner: "root", port: 8305},
	}
}

// The method url returns the URL of a path on the port of the app.
func (k kind) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d/%s", k.port, path) }

// The method path returns the path of a file in the directory of the app.
func (k kind) path(name string) string { return k.directory + "/" + name }

// The method user returns the user of the workers, or "" for a dynamic user. Tests run processes outside of the sandbox
// as this user. Tests cannot do this with a dynamic user, because a dynamic user exists only while the app runs.
func (k kind) user() string {
	if k.name == "dynamic" {
		return ""
	}
	return k.owner
}

// The function releases returns the releases on which the tests of this package run.
func releases() []lab.Release { return []lab.Release{lab.Bookworm, lab.Trixie} }

// onEach installs an app of each kind on each release, and runs f with each app. All apps are tested at the same time,
// because the tests need little CPU time.
func onEach(t *testing.T, f func(t *testing.T, m *kit.Machine, k kind)) {
	t.Helper()
	suite().Parallel(t, releases(), func(t *testing.T, m *kit.Machine) {
		for _, k := range kinds() {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				k.install(t, m)
				f(t, m, k)
			})
		}
	})
}

// suite returns the suite of this package. The machines of this suite have the users web, alice and bob, and files with
// secrets.
func suite() kit.Suite {
	return kit.Suite{Dir: "/", Equip: func(t testing.TB, m *kit.Machine) {
		m.Sh(t, `useradd --system --user-group --shell /usr/sbin/nologin web
useradd --create-home --shell /bin/bash alice
useradd --create-home --shell /bin/bash bob
chmod 755 /home/alice /home/bob
mkdir -p /home/alice/.ssh /root/.aws /etc/other
echo key >/home/alice/.ssh/id_ed25519; chown -R alice:alice /home/alice; chmod 600 /home/alice/.ssh/id_ed25519
echo readable >/home/bob/notes; chmod 644 /home/bob/notes
echo aws_secret_access_key=hostile-secret >/root/.aws/credentials; chmod 600 /root/.aws/credentials
echo DB_PASSWORD=hostile-secret >/etc/other/secrets.env; chmod 600 /etc/other/secrets.env`)
	}}
}

// The method install installs the hostile worker as an app of this kind, with an .env file, and uninstalls the app at
// the end of the test.
func (k kind) install(t testing.TB, m *kit.Machine) {
	t.Helper()
	m.CopyIn(t, lab.Build(t, "./internal/e2e/hostile/worker"), k.path(program))
	m.WriteFile(t, k.path(".env"), "MODE=from-the-file\n", 0o600)
	m.WriteFile(t, k.path("clusterctl.yaml"), k.config(), 0o644)
	m.Sh(t, fmt.Sprintf("chown -R %s: %s && chmod 755 %[2]s", k.owner, k.directory))
	t.Cleanup(func() {
		if r := m.Clusterctl(t, "uninstall", "--yes", k.name); r.Code != 0 {
			t.Errorf("uninstalling %s: %v", k.name, r)
		}
		m.Sh(t, "rm -rf "+k.directory)
	})
	flags := []string{"install", k.name, "-i", "1", "--listen", fmt.Sprintf("127.0.0.1:%d", k.port), "--cwd", k.directory,
		"--env", fmt.Sprint("PORT=", k.port), "--env-file", k.path(".env"), "--drain-timeout", "1s", "--stop-timeout", "5s",
		"--settle", "100ms"}
	m.Must(t, slices.Concat(flags, k.flags, []string{"--", k.path(program)})...)
}

// The method config returns a clusterctl.yaml for the app.
func (k kind) config() string {
	return fmt.Sprintf("apps:\n  %s:\n    command: [%s]\n    run-as: %s\n", k.name, k.path(program), k.owner)
}

// The method get sends a GET request to the worker, and returns the body of the response.
func (k kind) get(t testing.TB, m *kit.Machine, path string, query url.Values) string {
	t.Helper()
	url := k.url(path)
	if len(query) > 0 {
		url += "?" + query.Encode()
	}
	return m.Sh(t, "curl -fsS --max-time 60 --retry 20 --retry-connrefused '"+url+"'")
}

// The type result describes the result of one attack. The field Got describes what the worker has reached, and is empty
// if the attack failed.
type result struct{ Name, Got string }

// The method attack lets the worker run all attacks, and returns their results.
func (k kind) attack(t testing.TB, m *kit.Machine, query url.Values) []result {
	t.Helper()
	var results []result
	if err := json.Unmarshal([]byte(k.get(t, m, "attack", query)), &results); err != nil {
		t.Fatalf("decoding the results of the attacks: %v", err)
	}
	if len(results) < 10 {
		t.Fatalf("the worker ran only %d attacks, want at least 10: %v", len(results), results)
	}
	return results
}

// wantWithout fails the test if the parameter text contains the parameter part. The parameter name describes the text in
// the error.
func wantWithout(t testing.TB, name, text, part string) {
	t.Helper()
	if strings.Contains(text, part) {
		t.Errorf("%s contains %q:\n%s", name, part, text)
	}
}
