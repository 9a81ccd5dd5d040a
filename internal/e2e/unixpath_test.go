//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/outputschema"
	"github.com/clusterctl/clusterctl/units"
)

// TestUnixSocketSurvivesReload: programs remove the path of their Unix socket, connect to it to test for another server,
// and change its mode. The socket must exist after every reload, and every request must be answered, wherever the socket
// is, and whether the probe finds it or --listen has it.
func TestUnixSocketSurvivesReload(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const dir = "/srv/stays"
		m.Sh(t, "mkdir -p "+dir+" && chown daemon: "+dir)
		m.CopyIn(t, "../../activation/shim/nodepreload/clusterctl-node-preload.cjs", units.DefaultNodePreload)
		m.CopyIn(t, "testdata/closes.js", "/opt/e2e/closes.js")
		m.CopyIn(t, "../../cmd/clusterctl-shim/testdata/unixserver.py", "/opt/e2e/unixserver.py")
		for _, c := range []struct {
			name, path string
			listen     bool
			command    []string
		}{
			{"found", dir + "/found.sock", false, []string{"node", "/opt/e2e/closes.js", "found.sock"}},
			{"given", dir + "/given.sock", true, []string{"node", "/opt/e2e/closes.js", dir + "/given.sock"}},
			{"inrun", "/run/e2e-stays/inrun.sock", false, []string{"node", "/opt/e2e/closes.js", "/run/e2e-stays/inrun.sock"}},
			{"givenrun", "/run/givenrun.sock", true, []string{"node", "/opt/e2e/closes.js", "/run/givenrun.sock"}},
			{"allcalls", dir + "/allcalls.sock", false, []string{"python3", "/opt/e2e/unixserver.py", dir, "allcalls.sock", "crooked"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := kit.App{Machine: m, Name: c.name, Instances: 2}
				t.Cleanup(func() { a.Uninstall(t) })
				args := []string{"install", a.Name, "-i", "2", "--cwd", dir, "--run-as", "daemon", "--settle", "100ms",
					"--probe-timeout", "2m"}
				if c.listen {
					args = append(args, "--listen", c.path)
				}
				r := m.Must(t, append(append(args, "--"), c.command...)...)
				if !strings.Contains(r.Stdout, "listening on "+c.path+" (mode 0660, ") {
					t.Errorf("%v", r)
				}
				before := m.Sh(t, "stat -c '%i %A %U' "+c.path)
				run := load.Start(t, m, load.Options{URL: "unix:" + c.path, Conns: 4, Rate: rate})
				for range 3 {
					m.Must(t, "reload", "--settle", "100ms", a.Name)
				}
				if r := run.Stop(); r.Failed() > 0 || r.Requests == 0 {
					t.Errorf("requests failed in three reloads: %v", r)
				}
				if after := m.Sh(t, "stat -c '%i %A %U' "+c.path); after != before {
					t.Errorf("the socket file changed from %s to %s", before, after)
				}
				a.Uninstall(t)
				if m.Try("test -e "+c.path).Code == 0 {
					t.Errorf("%s still exists", c.path)
				}
			})
		}
	})
}

// TestRemovedSocketFile: the file of a socket is removed, or replaced by another socket. ls and show report that, and
// start, restart and reload each make the file again.
func TestRemovedSocketFile(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const path = "/run/e2e-lost/lost.sock"
		kit.Install(t, m, "lost", 2, 0, "lost", "--run-as", "daemon", "--listen", path, "--activation", "native",
			"--settle", "100ms", "--", worker)
		served := func(about string) {
			t.Helper()
			if r := load.Start(t, m, load.Options{URL: "unix:" + path, Conns: 2, Requests: 20}).Wait(); r.Failed() > 0 {
				t.Errorf("%s: %v", about, r)
			}
			if r := m.Must(t, "ls", "lost"); strings.Contains(r.Stdout, "degraded") {
				t.Errorf("%s: %v", about, r)
			}
			if got := m.Sh(t, "stat -c '%a %U:%G' "+path); got != "660 daemon:daemon" {
				t.Errorf("%s: %s", about, got)
			}
		}
		lost := func(about string) {
			t.Helper()
			const words = path + ": the socket file is missing or was replaced; to create it again: sudo clusterctl reload lost"
			if r := m.Must(t, "show", "lost"); !strings.Contains(r.Stdout, words) || !strings.Contains(r.Stdout, path+" (lost)") {
				t.Errorf("%s: %v", about, r)
			}
			r := m.Must(t, "show", "--json", "lost")
			if err := outputschema.Check("show", []byte(r.Stdout)); err != nil || !strings.Contains(r.Stdout, `"state": "lost"`) ||
				!strings.Contains(r.Stdout, `"state": "degraded"`) {
				t.Errorf("%s: %v, %v", about, r, err)
			}
			if r := m.Must(t, "ls", "--json"); !strings.Contains(r.Stdout, words) {
				t.Errorf("%s: %v", about, r)
			}
		}
		served("installed")
		for _, command := range []string{"reload", "restart", "start"} {
			m.Sh(t, "rm "+path)
			lost("the file is removed")
			if r := m.Must(t, command, "--settle", "100ms", "lost"); !strings.Contains(r.Stderr,
				"clients do not reach "+path+" any more, so the socket is opened again") {
				t.Errorf("%s: %v", command, r)
			}
			served(command)
		}
		// Simulate a command that was killed while it opened the socket again: before PID 1 had opened it, and before the
		// workers had been restarted.
		alone := func(method, unit, want string) {
			m.Sh(t, "busctl -q call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "+
				method+" ss "+unit+" ignore-dependencies\n"+
				"until [ $(systemctl is-active "+unit+") = "+want+" ]; do sleep 0.02; done")
		}
		broken := func(about, words string) {
			t.Helper()
			if l := listApps(t, m, "lost")[0]; l.State != "degraded" || !strings.Contains(l.Problem, words) ||
				!strings.Contains(l.Problem, "clusterctl reload lost") {
				t.Errorf("%s: %+v", about, l)
			}
		}
		for _, command := range []string{"reload", "restart", "start"} {
			alone("StopUnit", "lost.socket", "inactive")
			broken("the socket is closed", path+" is closed")
			if command == "start" {
				alone("StopUnit", "lost.service", "inactive")
				alone("StartUnit", "lost.socket", "active")
				alone("StartUnit", "lost.service", "active")
				broken("the workers are older", "lost.socket was opened after the start of an instance")
			}
			m.Must(t, command, "--settle", "100ms", "lost")
			served("killed, and " + command)
		}
		m.Sh(t, "rm "+path+`; systemd-run -q --unit=other-lost python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("`+path+`"); s.listen(); time.sleep(3600)'; until test -e `+path+`; do sleep 0.02; done`)
		lost("another socket")
		if r := m.Try("systemctl reload lost.service"); r.Code == 0 {
			t.Errorf("systemctl reload: %v", r)
		}
		m.AwaitJournal(t, "clients do not reach "+path, "-u", "lost.service")
		m.Must(t, "reload", "--settle", "100ms", "lost")
		served("another socket")
		m.Sh(t, "systemctl stop other-lost.service")
		served("after the other program has stopped")
	})
}
