//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// hardenedReleases returns the releases with the oldest and with the newest form of the sandbox.
func hardenedReleases() []lab.Release { return []lab.Release{lab.Bookworm, lab.Trixie} }

// makeOwnedByDaemon creates a directory that the user daemon owns, and removes the directory at the end of the test. The
// workers of these tests run as the user daemon.
func makeOwnedByDaemon(t testing.TB, m *kit.Machine, dir string) {
	t.Helper()
	m.Sh(t, "mkdir -p "+dir+" && chown daemon:daemon "+dir)
	t.Cleanup(func() { m.Sh(t, "rm -rf "+dir) })
}

// asDaemon runs a script as the user daemon, outside of the sandbox.
func asDaemon(m *kit.Machine, script string) lab.Result {
	return m.Try("setpriv --reuid=daemon --regid=daemon --clear-groups sh -c '" + script + "'")
}

// runInUnit runs a script as the user daemon, in the mount namespace of a unit's main process.
func runInUnit(t testing.TB, m *kit.Machine, unit, script string) lab.Result {
	t.Helper()
	return m.Try(fmt.Sprintf("nsenter -t %d -m -- setpriv --reuid=daemon --regid=daemon --clear-groups sh -c '%s'",
		m.MainPID(t, unit), script))
}

// TestEnvFileOfTheWorker installs an app with an environment file that the worker can replace. The worker must have the
// variables of this file. If the worker replaces the file with a link to a file that only root may read, the worker must
// not get the values in the linked file.
func TestEnvFileOfTheWorker(t *testing.T) {
	suite().Sequential(t, hardenedReleases(), func(t *testing.T, m *kit.Machine) {
		makeOwnedByDaemon(t, m, "/srv/h1")
		m.Sh(t, "mkdir -p /root/.aws && printf '[default]\naws_secret_access_key = s3cret\n' >/root/.aws/credentials; "+
			"printf 'DB_PASSWORD=s3cret\n' >/etc/h1-other.env; chmod 600 /etc/h1-other.env /root/.aws/credentials")
		t.Cleanup(func() { m.Sh(t, "rm -r /root/.aws /etc/h1-other.env /etc/h1-root.env") })
		m.WriteFile(t, "/etc/h1-root.env", "FROM=root\nROOT=1\n", 0o600)
		m.WriteFile(t, "/srv/h1/.env", "FROM=worker\nGREETING=\"hello $x\"\n", 0o644)
		m.Sh(t, "chown daemon /srv/h1/.env")
		a := kit.InstallNative(t, m, "h1", 1, 8651, "--cwd", "/srv/h1", "--env", "FROM=unit", "--env-file", "/etc/h1-root.env",
			"--env-file", "/srv/h1/.env", "--env-file=-/srv/h1/none", "--", worker)
		about := getAbout(t, m, a.URL("/about"))
		for _, want := range []string{"FROM=worker", "GREETING=hello $x", "ROOT=1", "INSTANCE=1"} {
			if !strings.Contains("\n"+strings.Join(about.Env, "\n")+"\n", "\n"+want+"\n") {
				t.Errorf("%s is missing in the environment of the worker: %q", want, about.Env)
			}
		}
		unit := m.ReadFile(t, "/etc/systemd/system/h1@.service")
		if strings.Contains(unit, "EnvironmentFile=/srv") ||
			!strings.Contains(unit, "\nEnvironmentFile=/etc/clusterctl/h1.env\nEnvironmentFile=/etc/h1-root.env\n") {
			t.Errorf("want EnvironmentFile= for both files in /etc, but not for the file of the worker:\n%s", unit)
		}
		want := "# the user of the app reads more variables from /srv/h1/.env at each start"
		if r := m.Must(t, "env", a.Name); !strings.Contains(r.Stdout, want) {
			t.Errorf("clusterctl env does not print that /srv/h1/.env is read as the user of the app: %v", r)
		}
		for _, secret := range []string{"/etc/h1-other.env", "/root/.aws/credentials"} {
			if r := asDaemon(m, "cd /srv/h1 && cat "+secret+" || ln -sf "+secret+" .env"); r.Code != 0 ||
				strings.Contains(r.Stdout, "s3cret") {
				t.Fatalf("the preparation of the attack failed: %v", r)
			}
			m.Try("systemctl restart h1@1")
			m.AwaitJournal(t, "reading the environment file", "-u", "h1@1", "--since", "-30s")
			if got := m.Sh(t, "for f in /proc/[0-9]*/environ; do tr '\\0' '\\n' <$f; "+
				"done 2>/dev/null | grep -c s3cret || :"); strings.TrimSpace(got) != "0" {
				t.Errorf("the environment of a process contains values of %s", secret)
			}
			asDaemon(m, "cd /srv/h1 && rm .env && echo FROM=worker >.env")
		}
		m.Must(t, "reload", a.Name)
		a.WantUp(t)
	})
}

// TestEnvFileOfRoot lets a worker that runs as root replace its environment file with a link to a file that the sandbox
// hides. PID 1 must not read that file.
func TestEnvFileOfRoot(t *testing.T) {
	suite().Sequential(t, hardenedReleases(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "mkdir -p /srv/h1r && echo HIDDEN=s3cret >/root/h1r.env && chmod 600 /root/h1r.env")
		t.Cleanup(func() { m.Sh(t, "rm -r /root/h1r.env /srv/h1r") })
		a := kit.InstallNative(t, m, "h1r", 1, 8654, "--cwd", "/srv/h1r", "--run-as", "root", "--env-file=-/srv/h1r/.env", "--", worker)
		if r := m.Try(fmt.Sprintf("nsenter -t %d -m -- ln -s /root/h1r.env /srv/h1r/.env", m.MainPID(t, a.Unit(1)))); r.Code != 0 {
			t.Fatalf("the preparation of the attack failed: %v", r)
		}
		m.Must(t, "reload", a.Name)
		if env := strings.Join(getAbout(t, m, a.URL("/about")).Env, "\n"); strings.Contains(env, "s3cret") {
			t.Errorf("the environment of the worker contains the value of the hidden file: %s", env)
		}
	})
}

// TestEnvFileOfAnAdoptedApp installs an unmodified program that reads its port from the environment. The .env file sets
// the port. The probe must also use the .env file.
func TestEnvFileOfAnAdoptedApp(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		makeOwnedByDaemon(t, m, "/srv/adopted")
		m.WriteFile(t, "/srv/adopted/server.py", `import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["GREETING"].encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
`, 0o644)
		m.WriteFile(t, "/srv/adopted/.env", "PORT=8653\nGREETING='hello there'\n", 0o600)
		m.Sh(t, "chown daemon /srv/adopted/.env /srv/adopted/server.py")
		t.Cleanup(func() { kit.App{Machine: m, Name: "adopted"}.Uninstall(t) })
		r := m.Must(t, "install", "/srv/adopted/server.py", "-n", "adopted", "-i", "2", "--env-file", "/srv/adopted/.env",
			"--env", "FOO=a b", "--settle", "200ms")
		if !strings.Contains(r.Stderr, "/srv/adopted/.env is read as user daemon and not as root") {
			t.Errorf("clusterctl install does not print that the file is read as the user daemon: %v", r)
		}
		if got := m.Get(t, "http://127.0.0.1:8653/"); got != "hello there" {
			t.Errorf("the response is %q, want \"hello there\"", got)
		}
		// The configuration must record that the worker reads the file, so that a scale writes the same units.
		if config := m.ReadFile(t, "/etc/clusterctl/adopted.yaml"); !strings.Contains(config,
			"worker-env-files:\n  - /srv/adopted/.env\n") {
			t.Errorf("/etc/clusterctl/adopted.yaml does not contain worker-env-files:\n%s", config)
		}
		m.Must(t, "scale", "adopted", "1")
		if r := m.Must(t, "diff", "--all", "--exit-code"); strings.Contains(r.Stdout, "adopted") {
			t.Errorf("clusterctl diff after a scale reports changes, want none: %v", r)
		}
		m.Sh(t, "echo GREETING=changed >>/srv/adopted/.env")
		m.Must(t, "reload", "adopted")
		if got := m.Get(t, "http://127.0.0.1:8653/"); got != "changed" {
			t.Errorf("the response after a reload is %q, want \"changed\"", got)
		}
		// Earlier versions of clusterctl let PID 1 read all environment files. A reload of such an app must fail and
		// print the command that updates the app.
		m.Sh(t, "sed -i s/^worker-env-files/env-files/ /etc/clusterctl/adopted.yaml")
		r = m.Clusterctl(t, "reload", "adopted")
		if r.Code != notReached {
			t.Errorf("a reload of an app of an earlier version: got exit status %d, want %d: %v", r.Code, notReached, r)
		}
		wantError(t, r.Stderr, `the environment file "/srv/adopted/.env" is read as root`,
			hint+"sudo clusterctl apply -f /etc/clusterctl/adopted.yaml")
		m.Must(t, "apply", "-f", "/etc/clusterctl/adopted.yaml")
		m.Must(t, "reload", "adopted")
	})
}

// TestUntrustedConfig applies a clusterctl.yaml that the user of the workers owns. clusterctl apply must refuse the file
// if it would give the app more rights, for example root or a port below 1024.
func TestUntrustedConfig(t *testing.T) {
	suite().Sequential(t, hardenedReleases(), func(t *testing.T, m *kit.Machine) {
		makeOwnedByDaemon(t, m, "/srv/h3")
		describe := func(runAs, sandbox string) string {
			return "name: h3\ncommand: [" + worker +
				"]\ndirectory: /srv/h3\nlisten: 8652\nactivation: native\nready: notify\ninstances: 1\nrun-as: " +
				runAs + "\nsandbox: " + sandbox + "\n"
		}
		write := func(text string) {
			t.Helper()
			m.WriteFile(t, "/srv/h3/clusterctl.yaml", text, 0o644)
			m.Sh(t, "chown daemon /srv/h3/clusterctl.yaml")
		}
		a := kit.App{Machine: m, Name: "h3", Instances: 1, Port: 8652}
		t.Cleanup(func() { a.Uninstall(t) })
		apply := []string{"apply", "-f", "/srv/h3/clusterctl.yaml", "--settle", "100ms"}
		write(describe("root", "off"))
		r := m.Clusterctl(t, apply...)
		if r.Code != notAllowed {
			t.Errorf("clusterctl apply of a new app that runs as root: got exit status %d, want %d: %v", r.Code, notAllowed, r)
		}
		wantError(t, r.Stderr, "run-as: dynamic -> root", "sandbox: default -> off", "user daemon owns /srv/h3", hint)
		if m.Try("test -e /etc/clusterctl/h3.yaml").Code == 0 {
			t.Error("/etc/clusterctl/h3.yaml exists after a refused apply")
		}
		write(strings.Replace(describe("daemon:shadow", "default"), "8652", "652", 1))
		if r := m.Clusterctl(t, apply...); r.Code != notAllowed ||
			!strings.Contains(r.Stderr, "run-as: daemon -> daemon:shadow; listen: 652") {
			t.Errorf("clusterctl apply of a new app with another group and port 652: want exit status %d and both changes: %v",
				notAllowed, r)
		}
		write(describe("daemon", "default"))
		m.Must(t, apply...)
		pid := m.MainPID(t, a.Unit(1))

		// A worker in its sandbox must not be able to change the file. A process of the same user outside of the sandbox
		// can change the file.
		if r := runInUnit(t, m, a.Unit(1),
			"cd /srv/h3 && echo x >probe && ! echo x >>clusterctl.yaml && ! mv -f probe clusterctl.yaml && "+
				"! rm -f clusterctl.yaml"); r.Code != 0 {
			t.Errorf("the worker can change clusterctl.yaml in its sandbox: %v", r)
		}
		if r := asDaemon(m, "cd /srv/h3 && sed s/run-as:.*/run-as:\\ root/\\;s/sandbox:.*/sandbox:\\ off/ clusterctl.yaml "+
			">.c && mv -f .c clusterctl.yaml && grep root clusterctl.yaml"); r.Code != 0 {
			t.Fatalf("the preparation of the attack failed: %v", r)
		}
		for _, more := range [][]string{nil, {"--yes"}, {"--force"}} {
			if r := m.Clusterctl(t, append(apply, more...)...); r.Code != notAllowed ||
				!strings.Contains(r.Stderr, "run-as: daemon -> root") {
				t.Errorf("clusterctl apply of the changed file with the flags %q: want exit status %d and the new user: %v",
					more, notAllowed, r)
			}
		}
		if now := m.MainPID(t, a.Unit(1)); now != pid {
			t.Errorf("a refused apply has restarted the worker: the PID was %d, and is %d", pid, now)
		}

		// If root owns the file and its directory, clusterctl apply must still ask before it gives the app more rights.
		m.Sh(t, "chown -R root:root /srv/h3")
		r = m.Clusterctl(t, apply...)
		if r.Code != usage {
			t.Errorf("clusterctl apply without a terminal: got exit status %d, want %d: %v", r.Code, usage, r)
		}
		wantError(t, r.Stderr, "run-as: daemon -> root", "sandbox: default -> off", hint, "--yes")
		if r := m.Must(t, append(apply, "--yes")...); !strings.Contains(r.Stderr, "h3: run-as: daemon -> root; sandbox: default -> off\n") {
			t.Errorf("clusterctl apply --yes does not print the new rights: %v", r)
		}
		if about := getAbout(t, m, a.URL("/about")); about.UID != 0 {
			t.Errorf("the worker has the user ID %d, want 0", about.UID)
		}
		m.Must(t, "rollback", a.Name, "--settle", "100ms")
		if about := getAbout(t, m, a.URL("/about")); about.UID != 1 {
			t.Errorf("the worker has the user ID %d after a rollback, want 1", about.UID)
		}
		if r := m.Clusterctl(t, "rollback", a.Name); r.Code != usage || !strings.Contains(r.Stderr, "run-as: daemon -> root") {
			t.Errorf("a rollback to root without a terminal: want exit status %d and the new user: %v", usage, r)
		}
	})
}

// TestRootRunsOnlyProgramsOfRoot installs programs that run as root. clusterctl install and reload must refuse a program
// if another user can write the program, a directory on its path or its working directory.
func TestRootRunsOnlyProgramsOfRoot(t *testing.T) {
	suite().Sequential(t, hardenedReleases(), func(t *testing.T, m *kit.Machine) {
		makeOwnedByDaemon(t, m, "/srv/root-app")
		m.Sh(t, "cp /bin/sleep /tmp/anyone && chmod 777 /tmp/anyone && chown nobody /tmp/anyone; "+
			"cp /bin/sleep /srv/root-app/sleep; mkdir -m 777 /srv/wide; printf '#!/bin/sh\nexec sleep inf\n"+
			"' >/srv/wide/run.sh; chmod 755 /srv/wide/run.sh")
		t.Cleanup(func() { m.Sh(t, "rm -r /tmp/anyone /srv/wide") })
		for _, tt := range []struct {
			args []string
			want string
		}{
			{[]string{"--", "/tmp/anyone", "inf"}, "everybody may write /tmp/anyone"},
			{[]string{"--", "/srv/root-app/sleep", "inf"}, "user daemon owns /srv/root-app"},
			{[]string{"--", "/bin/sh", "/srv/wide/run.sh"}, "everybody may write /srv/wide"},
			{[]string{"--cwd", "/srv/root-app", "--", "/bin/sleep", "inf"}, "user daemon owns /srv/root-app"},
		} {
			r := m.Clusterctl(t, append([]string{"install", "rooted", "-i", "1", "--no-listen", "--activation", "native",
				"--run-as", "root", "--sandbox", "off"}, tt.args...)...)
			if r.Code != failed || !strings.Contains(r.Stderr, tt.want) || !strings.Contains(r.Stderr, hint) {
				t.Errorf("install %q: want exit status %d, %q and a hint: %v", tt.args, failed, tt.want, r)
				kit.App{Machine: m, Name: "rooted"}.Uninstall(t)
			}
		}
		// With --trust daemon, the user daemon may own the program. Each reload must check the paths again.
		installWithFlags(t, m, "rooted", "-i", "1", "--no-listen", "--run-as", "root", "--trust", "daemon",
			"--", "/srv/root-app/sleep", "inf")
		m.Must(t, "reload", "rooted")
		m.Sh(t, "chmod o+w /srv/root-app/sleep")
		r := m.Clusterctl(t, "reload", "rooted")
		if r.Code != notReached || !strings.Contains(r.Stderr, "everybody may write /srv/root-app/sleep") {
			t.Errorf("a reload of a program that everybody may write: want exit status %d and the path: %v", notReached, r)
		}
		if r := m.Try("systemctl reload rooted"); r.Code == 0 {
			t.Error("systemctl reload of a program that everybody may write succeeded, want an error")
		}
		if r := m.Must(t, "show", "rooted"); !strings.Contains(r.Stdout,
			"program /srv/root-app/sleep: everybody may write /srv/root-app/sleep") {
			t.Errorf("clusterctl show does not print that everybody may write the program: %v", r)
		}
		if r := m.Must(t, "show", "rooted", "--json"); !strings.Contains(r.Stdout, `"unsafePaths"`) {
			t.Errorf("clusterctl show --json does not contain unsafePaths: %v", r)
		}
		m.Sh(t, "chmod o-w /srv/root-app/sleep")
		m.Must(t, "reload", "rooted")
	})
}

// TestPathsOfOtherUsersAreRefused installs apps with paths in directories that other users can write. systemd would mount
// or create sockets at these paths as root, so clusterctl install must refuse the paths.
func TestPathsOfOtherUsersAreRefused(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		makeOwnedByDaemon(t, m, "/srv/paths")
		m.Sh(t, "mkdir -p /srv/paths/run /srv/paths/data && chown daemon /srv/paths/run /srv/paths/data; "+
			"mkdir -p -m 777 /srv/wide2; mkdir -p /srv/wide2/data")
		t.Cleanup(func() { m.Sh(t, "rm -r /srv/wide2") })
		install := func(more ...string) lab.Result {
			return m.Clusterctl(t, append([]string{"install", "paths", "-i", "1", "--activation", "native",
				"--settle", "100ms", "--cwd", "/srv/paths"}, more...)...)
		}
		for _, tt := range []struct {
			args       []string
			want, hint string
		}{
			{[]string{"--no-listen", "--rw", "/srv/wide2/data", "--", "/bin/sleep", "inf"}, "everybody may write /srv/wide2",
				"chmod o-w /srv/wide2"},
			{[]string{"--listen", "/srv/paths/run/x.sock", "--", worker}, "user daemon owns /srv/paths", "--listen /run/paths/x.sock"},
			{[]string{"--listen", "/srv/wide2/data/x.sock", "--", worker}, "everybody may write /srv/wide2", "--listen /run/paths/x.sock"},
			{[]string{"--no-listen", "--cwd", "/srv/wide2/data", "--", "/bin/sleep", "inf"}, "everybody may write /srv/wide2",
				"chmod o-w /srv/wide2"},
		} {
			if r := install(tt.args...); r.Code != failed || !strings.Contains(r.Stderr, tt.want) ||
				!strings.Contains(r.Stderr, hint+tt.hint) {
				t.Errorf("install %q: want exit status %d, %q and the hint %q: %v", tt.args, failed, tt.want, tt.hint, r)
				kit.App{Machine: m, Name: "paths"}.Uninstall(t)
			}
		}
		t.Cleanup(func() { kit.App{Machine: m, Name: "paths"}.Uninstall(t) })
		if r := install("--listen", "/srv/paths/x.sock", "--rw", "/srv/paths/data", "--", worker); r.Code != done {
			t.Errorf("install with a socket in the app's own directory: want exit status 0: %v", r)
		}
	})
}

// TestFilesOfTheAppAreReadOnly checks that a worker in its sandbox cannot change its program or rename the directory of
// the program. A process outside of the sandbox can replace the program, and a reload must run the new program.
func TestFilesOfTheAppAreReadOnly(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		makeOwnedByDaemon(t, m, "/srv/deploy")
		deploy := func(release string) {
			t.Helper()
			m.WriteFile(t, "/srv/deploy/app/main.py.new", "import time\nprint('release "+release+"', flush=True)\ntime.sleep(1e9)\n", 0o644)
			m.Sh(t, "mv /srv/deploy/app/main.py.new /srv/deploy/app/main.py && chown -R daemon /srv/deploy")
		}
		m.Sh(t, "mkdir -p /srv/deploy/app")
		deploy("1")
		installWithFlags(t, m, "deploy", "-i", "1", "--no-listen", "--cwd", "/srv/deploy", "--", "python3", "app/main.py")
		m.AwaitJournal(t, "release 1", "-u", "deploy@1")
		r := runInUnit(t, m, "deploy@1.service", "cd /srv/deploy && echo x >app/data && echo y >other && mv other .. 2>/dev/null; "+
			"! echo x >>app/main.py && ! mv -f app/data app/main.py && ! rm -f app/main.py && ! mv app app2 && mkdir app2 && mv app2 app3")
		if r.Code != 0 {
			t.Errorf("the worker can change its program or directory, or cannot write other files: %v", r)
		}
		for _, release := range []string{"2", "3"} {
			deploy(release)
			m.Must(t, "reload", "deploy")
			m.AwaitJournal(t, "release "+release, "-u", "deploy@1")
		}
		// With --rw, the worker must be able to replace its program.
		m.Must(t, "install", "deploy", "--yes", "-i", "1", "--no-listen", "--activation", "native", "--settle", "200ms",
			"--cwd", "/srv/deploy", "--rw", "/srv/deploy/app/main.py", "--", "python3", "app/main.py")
		if r := runInUnit(t, m, "deploy@1.service", "cd /srv/deploy/app && cp main.py new && mv -f new main.py"); r.Code != 0 {
			t.Errorf("the worker cannot replace a program that --rw names: %v", r)
		}
	})
}
