//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestUnixSocketAccess: only the workers' user and group may connect to a Unix socket, unless flags allow others. A change
// of these flags affects neither the workers nor the queue of the socket.
func TestUnixSocketAccess(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		ownDirectorySocket(t, m)
		const path = "/run/e2e-ux/deep/ux.sock"
		a := kit.App{Machine: m, Name: "ux", Instances: 1}
		t.Cleanup(func() { a.Uninstall(t) })
		again := func(flags ...string) lab.Result {
			t.Helper()
			return m.Must(t, slices.Concat([]string{"install", a.Name, "-i", "1", "--listen", path, "--activation", "native",
				"--settle", "100ms"}, flags, []string{"--", worker})...)
		}
		want := func(about, file string, may ...string) {
			t.Helper()
			if got := m.Sh(t, "stat -c '%F %a %U:%G' "+path); got != "socket "+file {
				t.Errorf("%s: %s, want %s", about, got, file)
			}
			for _, user := range []string{"root", "daemon", "www-data", "nobody"} {
				r := m.Try("setpriv --reuid=" + user + " --regid=$(id -g " + user +
					") --clear-groups curl -fsS -m 20 --unix-socket " + path + " http://x/")
				if (r.Code == 0) != slices.Contains(may, user) {
					t.Errorf("%s: %s: %v", about, user, r)
				}
			}
		}
		r := again("--run-as", "daemon")
		want("the workers' user", "660 daemon:daemon", "root", "daemon")
		if !strings.Contains(r.Stdout, "listening on "+path+" (mode 0660, owner daemon)\n") {
			t.Errorf("%v", r)
		}
		if got := m.Sh(t, "stat -c '%a %U:%G' /run/e2e-ux /run/e2e-ux/deep"); got != "755 root:root\n755 root:root" {
			t.Errorf("the directories above: %s", got)
		}

		pid := m.MainPID(t, a.Unit(1))
		again("--run-as", "daemon", "--socket-group", "www-data")
		want("a group for the web server", "660 daemon:www-data", "root", "daemon", "www-data")
		m.WriteFile(t, "/opt/e2e/ux.yaml", "name: ux\ncommand: ["+worker+
			"]\ndirectory: /\nrun-as: daemon\nactivation: native\nready: notify\ndrain: off\ninstances: 1\nlisten: ["+
			path+"]\nsocket-mode: 0666\n", 0o644)
		if r := m.Clusterctl(t, "diff", "-f", "/opt/e2e/ux.yaml"); !strings.Contains(r.Stdout, "-SocketGroup=www-data") ||
			!strings.Contains(r.Stdout, "+SocketMode=0666") {
			t.Errorf("diff: %v", r)
		}
		m.Must(t, "apply", "-f", "/opt/e2e/ux.yaml")
		want("everybody", "666 daemon:daemon", "root", "daemon", "www-data", "nobody")
		r = again("--run-as", "daemon")
		if want := path + ": only root, daemon and the group of daemon can connect; " +
			"for a web server: --socket-group www-data\n"; strings.Count(r.Stderr, want) != 1 {
			t.Errorf("the output when access is restricted again: %v", r)
		}
		want("closed again", "660 daemon:daemon", "root", "daemon")
		again("--run-as", "daemon", "--socket-group", "www-data")
		m.Must(t, "apply", "-f", "/opt/e2e/ux.yaml")
		m.Must(t, "rollback", a.Name)
		want("back", "660 daemon:www-data", "root", "daemon", "www-data")
		if got := m.MainPID(t, a.Unit(1)); got != pid {
			t.Errorf("the worker was replaced: %d, then %d", pid, got)
		}
		// A restart makes a new socket with the same owner and mode.
		m.Sh(t, "systemctl restart ux.service")
		want("after a restart", "660 daemon:www-data", "root", "daemon", "www-data")

		r = again("--run-as", "dynamic")
		if !strings.Contains(r.Stderr, path+": only root can connect; for a web server: --socket-group www-data\n") {
			t.Errorf("%v", r)
		}
		want("a dynamic user", "660 root:root", "root")
		again("--run-as", "dynamic", "--socket-group", "www-data")
		want("a dynamic user and a group", "660 root:www-data", "root", "www-data")
		a.Uninstall(t)

		// With the umask of this program, every user could connect. The install must print the flag that allows this.
		const program = "/opt/e2e/unixown.py"
		m.CopyIn(t, "testdata/unixown.py", program)
		own := []string{"install", a.Name, "-i", "1", "--listen", path, "--run-as", "daemon", "--settle", "100ms"}
		if r := m.Must(t, append(own, "--", "python3", program, path)...); !strings.Contains(r.Stderr,
			"with mode 0777, clusterctl with mode 0660; to change it: --socket-mode 0777\n") ||
			strings.Contains(r.Stderr, "did not listen") {
			t.Errorf("%v", r)
		}
		want("adopted", "660 daemon:daemon", "root", "daemon")
		m.Must(t, append(own, "--socket-mode", "0777", "--", "python3", program, path)...)
		want("adopted, for everybody", "777 daemon:daemon", "root", "daemon", "www-data", "nobody")
	})
}

// ownDirectorySocket tests a socket in the app's own directory, which also belongs to the workers' user. PID 1 would change
// the owner by path, and the user could replace that path by a link. The shim does not follow links.
func ownDirectorySocket(t *testing.T, m *kit.Machine) {
	const dir, path = "/srv/uxown", "/srv/uxown/own.sock"
	a := kit.App{Machine: m, Name: "uxown", Instances: 1}
	m.Sh(t, "mkdir -p "+dir+" && chown daemon "+dir)
	t.Cleanup(func() { a.Uninstall(t); m.Sh(t, "rm -rf "+dir) })
	args := func(flags ...string) []string {
		return slices.Concat([]string{"install", a.Name, "-i", "1", "--cwd", dir, "--run-as", "daemon", "--listen", path,
			"--activation", "native", "--settle", "100ms"}, flags, []string{"--", worker})
	}
	want := func(about, file string) {
		t.Helper()
		if got := m.Sh(t, "stat -c '%F %a %U:%G' "+path+
			"; systemctl cat uxown.socket | grep -c '^Socket[UG]' || true"); got != "socket "+file+"\n0" {
			t.Errorf("%s: %s, want %s", about, got, file)
		}
	}
	m.Must(t, args()...)
	want("by default", "660 daemon:daemon")
	pid := m.MainPID(t, a.Unit(1))
	m.Must(t, args("--socket-group", "www-data")...)
	want("a group", "660 daemon:www-data")
	m.Must(t, args("--socket-group", "www-data", "--socket-mode", "0666")...)
	want("for everybody", "666 daemon:www-data")
	if got := m.MainPID(t, a.Unit(1)); got != pid {
		t.Errorf("the worker was replaced: %d, then %d", pid, got)
	}
	m.Sh(t, "setpriv --reuid=nobody --clear-groups --regid=nogroup curl -fsS -m 20 --unix-socket "+path+" http://x/")
	m.Sh(t, "systemctl restart uxown.service")
	want("after a restart", "666 daemon:www-data")
	// The path is replaced by a link, and then by a second name of the socket.
	m.Sh(t, "install -m 600 /dev/null /root/secret && mv "+path+" "+path+".real && ln -s /root/secret "+path)
	if r := m.Try(kit.Shim + " own --user=daemon " + path); r.Code == 0 ||
		!strings.Contains(r.Stderr, "it is not a socket with a single name") {
		t.Errorf("a link instead of the socket: %v", r)
	}
	m.Sh(t, "ln -f "+path+".real "+path)
	if r := m.Try(kit.Shim + " own --user=nobody " + path); r.Code == 0 {
		t.Errorf("a socket with a second name: %v", r)
	}
	if got := m.Sh(t, "stat -c '%a %U' /root/secret; stat -c '%U' "+path+"; rm "+path+".real"); got != "600 root\ndaemon" {
		t.Errorf("owners and modes of the files: %s", got)
	}
}
