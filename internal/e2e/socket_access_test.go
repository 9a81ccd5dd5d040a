//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestUnixSocketAccess checks the owner and mode of a Unix socket, and which users can connect. Without flags, root, the
// user of the workers and the group of this user can connect, but no other user. A change of the flags must not restart a
// worker.
func TestUnixSocketAccess(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		wantSocketInAppDirectory(t, m)
		const path = "/run/e2e-ux/deep/ux.sock"
		a := kit.App{Machine: m, Name: "ux", Instances: 1}
		t.Cleanup(func() { a.Uninstall(t) })
		install := func(flags ...string) lab.Result {
			t.Helper()
			return m.Must(t, slices.Concat([]string{"install", a.Name, "-i", "1", "--listen", path, "--activation", "native",
				"--settle", "100ms"}, flags, []string{"--", worker})...)
		}
		want := func(when, file string, users ...string) {
			t.Helper()
			if got := m.Sh(t, "stat -c '%F %a %U:%G' "+path); got != "socket "+file {
				t.Errorf("%s: the socket is %s, want socket %s", when, got, file)
			}
			for _, user := range []string{"root", "daemon", "www-data", "nobody"} {
				r := m.Try("setpriv --reuid=" + user + " --regid=$(id -g " + user +
					") --clear-groups curl -fsS -m 20 --unix-socket " + path + " http://x/")
				if (r.Code == 0) != slices.Contains(users, user) {
					t.Errorf("%s: only %q may connect, but the result of %s is %v", when, users, user, r)
				}
			}
		}
		r := install("--run-as", "daemon")
		want("without flags", "660 daemon:daemon", "root", "daemon")
		if !strings.Contains(r.Stdout, "listening on "+path+" (mode 0660, owner daemon)\n") {
			t.Errorf("clusterctl install does not print the mode and the owner of the socket: %v", r)
		}
		if got := m.Sh(t, "stat -c '%a %U:%G' /run/e2e-ux /run/e2e-ux/deep"); got != "755 root:root\n755 root:root" {
			t.Errorf("the directories of the socket have %q, want mode 755 and root:root for both", got)
		}

		pid := m.MainPID(t, a.Unit(1))
		install("--run-as", "daemon", "--socket-group", "www-data")
		want("with --socket-group", "660 daemon:www-data", "root", "daemon", "www-data")
		m.WriteFile(t, "/opt/e2e/ux.yaml", "name: ux\ncommand: ["+worker+
			"]\ndirectory: /\nrun-as: daemon\nactivation: native\nready: notify\ndrain: off\ninstances: 1\nlisten: ["+
			path+"]\nsocket-mode: 0666\n", 0o644)
		if r := m.Clusterctl(t, "diff", "-f", "/opt/e2e/ux.yaml"); !strings.Contains(r.Stdout, "-SocketGroup=www-data") ||
			!strings.Contains(r.Stdout, "+SocketMode=0666") {
			t.Errorf("clusterctl diff: want -SocketGroup=www-data and +SocketMode=0666: %v", r)
		}
		m.Must(t, "apply", "-f", "/opt/e2e/ux.yaml")
		want("after apply of mode 0666", "666 daemon:daemon", "root", "daemon", "www-data", "nobody")
		r = install("--run-as", "daemon")
		if want := path + ": only root, daemon and the group of daemon can connect; " +
			"for a web server: --socket-group www-data\n"; strings.Count(r.Stderr, want) != 1 {
			t.Errorf("install without flags does not print once who can connect: %v", r)
		}
		want("after the flags were omitted", "660 daemon:daemon", "root", "daemon")
		install("--run-as", "daemon", "--socket-group", "www-data")
		m.Must(t, "apply", "-f", "/opt/e2e/ux.yaml")
		m.Must(t, "rollback", a.Name)
		want("after a rollback", "660 daemon:www-data", "root", "daemon", "www-data")
		if got := m.MainPID(t, a.Unit(1)); got != pid {
			t.Errorf("the worker was restarted: the PID was %d, and is %d", pid, got)
		}
		// The socket that a restart creates must have the same owner and mode.
		m.Sh(t, "systemctl restart ux.service")
		want("after a restart", "660 daemon:www-data", "root", "daemon", "www-data")

		r = install("--run-as", "dynamic")
		if !strings.Contains(r.Stderr, path+": only root can connect; for a web server: --socket-group www-data\n") {
			t.Errorf("install with a dynamic user does not print that only root can connect: %v", r)
		}
		want("with a dynamic user", "660 root:root", "root")
		install("--run-as", "dynamic", "--socket-group", "www-data")
		want("with a dynamic user and --socket-group", "660 root:www-data", "root", "www-data")
		a.Uninstall(t)

		// This program creates its socket with mode 0777, so every user could connect without clusterctl. clusterctl
		// install must print the flag that gives the socket this mode.
		const program = "/opt/e2e/unixown.py"
		m.CopyIn(t, "testdata/unixown.py", program)
		adopted := []string{"install", a.Name, "-i", "1", "--listen", path, "--run-as", "daemon", "--settle", "100ms"}
		if r := m.Must(t, append(adopted, "--", "python3", program, path)...); !strings.Contains(r.Stderr,
			"with mode 0777, clusterctl with mode 0660; to change it: --socket-mode 0777\n") ||
			strings.Contains(r.Stderr, "did not listen") {
			t.Errorf("install of an adopted program does not print --socket-mode 0777: %v", r)
		}
		want("of an adopted program", "660 daemon:daemon", "root", "daemon")
		m.Must(t, append(adopted, "--socket-mode", "0777", "--", "python3", program, path)...)
		want("of an adopted program with --socket-mode 0777", "777 daemon:daemon", "root", "daemon", "www-data", "nobody")
	})
}

// wantSocketInAppDirectory checks the owner and mode of a socket in a directory that the workers' user owns. SocketUser=
// is unsafe in such a directory: PID 1 follows links when it changes the owner, and the user can replace the socket with
// a link. So the shim changes the owner of the socket, and it refuses links.
func wantSocketInAppDirectory(t *testing.T, m *kit.Machine) {
	const dir, path = "/srv/uxown", "/srv/uxown/own.sock"
	a := kit.App{Machine: m, Name: "uxown", Instances: 1}
	m.Sh(t, "mkdir -p "+dir+" && chown daemon "+dir)
	t.Cleanup(func() { a.Uninstall(t); m.Sh(t, "rm -rf "+dir) })
	args := func(flags ...string) []string {
		return slices.Concat([]string{"install", a.Name, "-i", "1", "--cwd", dir, "--run-as", "daemon", "--listen", path,
			"--activation", "native", "--settle", "100ms"}, flags, []string{"--", worker})
	}
	want := func(when, file string) {
		t.Helper()
		if got := m.Sh(t, "stat -c '%F %a %U:%G' "+path+
			"; systemctl cat uxown.socket | grep -c '^Socket[UG]' || true"); got != "socket "+file+"\n0" {
			t.Errorf("%s: the socket is %s, want socket %s and no SocketUser= or SocketGroup=", when, got, file)
		}
	}
	m.Must(t, args()...)
	want("without flags", "660 daemon:daemon")
	pid := m.MainPID(t, a.Unit(1))
	m.Must(t, args("--socket-group", "www-data")...)
	want("with --socket-group", "660 daemon:www-data")
	m.Must(t, args("--socket-group", "www-data", "--socket-mode", "0666")...)
	want("with --socket-mode", "666 daemon:www-data")
	if got := m.MainPID(t, a.Unit(1)); got != pid {
		t.Errorf("the worker was restarted: the PID was %d, and is %d", pid, got)
	}
	m.Sh(t, "setpriv --reuid=nobody --clear-groups --regid=nogroup curl -fsS -m 20 --unix-socket "+path+" http://x/")
	m.Sh(t, "systemctl restart uxown.service")
	want("after a restart", "666 daemon:www-data")
	// Replace the socket with a symbolic link, and then with a second hard link to the socket. The shim must refuse both
	// links.
	m.Sh(t, "install -m 600 /dev/null /root/secret && mv "+path+" "+path+".real && ln -s /root/secret "+path)
	if r := m.Try(kit.Shim + " own --user=daemon " + path); r.Code == 0 ||
		!strings.Contains(r.Stderr, "the file is not a socket, or has more than one name") {
		t.Errorf("the shim does not refuse a symbolic link: %v", r)
	}
	m.Sh(t, "ln -f "+path+".real "+path)
	if r := m.Try(kit.Shim + " own --user=nobody " + path); r.Code == 0 {
		t.Errorf("the shim does not refuse a socket with two hard links: %v", r)
	}
	if got := m.Sh(t, "stat -c '%a %U' /root/secret; stat -c '%U' "+path+"; rm "+path+".real"); got != "600 root\ndaemon" {
		t.Errorf("the owner and mode of /root/secret or the owner of the socket have changed: %s", got)
	}
}
