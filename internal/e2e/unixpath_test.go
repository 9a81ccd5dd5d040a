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

// TestUnixSocketSurvivesReload reloads unmodified programs that listen on a Unix socket. Before a program binds, it
// removes the socket file or connects to the socket. After the bind, the program changes the mode of the socket file. The
// reloads must not change the socket file, and every request must be answered. In some subtests, the probe finds the path
// of the socket. In the other subtests, --listen has the path.
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
			{"allcalls", dir + "/allcalls.sock", false, []string{"python3", "/opt/e2e/unixserver.py", dir, "allcalls.sock", "with dots"}},
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
					t.Errorf("clusterctl install does not print the path and the mode of the socket: %v", r)
				}
				before := m.Sh(t, "stat -c '%i %A %U' "+c.path)
				run := load.Start(t, m, load.Options{URL: "unix:" + c.path, Conns: 4, Rate: rate})
				for range 3 {
					m.Must(t, "reload", "--settle", "100ms", a.Name)
				}
				if r := run.Stop(); r.Failed() > 0 || r.Requests == 0 {
					t.Errorf("%d of %d requests failed during three reloads, want 0: %v", r.Failed(), r.Requests, r)
				}
				if after := m.Sh(t, "stat -c '%i %A %U' "+c.path); after != before {
					t.Errorf("the inode, mode or owner of the socket file was %s, and is %s", before, after)
				}
				a.Uninstall(t)
				if m.Try("test -e "+c.path).Code == 0 {
					t.Errorf("%s exists after the uninstall", c.path)
				}
			})
		}
	})
}

// TestRemovedSocketFile removes the file of a Unix socket, or replaces it with the socket of another program. clusterctl
// ls and show must report the lost file. clusterctl start, restart and reload must each create the file again.
func TestRemovedSocketFile(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const path = "/run/e2e-lost/lost.sock"
		kit.Install(t, m, "lost", 2, 0, "lost", "--run-as", "daemon", "--listen", path, "--activation", "native",
			"--settle", "100ms", "--", worker)
		wantServed := func(when string) {
			t.Helper()
			if r := load.Start(t, m, load.Options{URL: "unix:" + path, Conns: 2, Requests: 20}).Wait(); r.Failed() > 0 {
				t.Errorf("%s: requests failed, want none: %v", when, r)
			}
			if r := m.Must(t, "ls", "lost"); strings.Contains(r.Stdout, "degraded") {
				t.Errorf("%s: clusterctl ls prints degraded: %v", when, r)
			}
			if got := m.Sh(t, "stat -c '%a %U:%G' "+path); got != "660 daemon:daemon" {
				t.Errorf("%s: the socket file has %s, want 660 daemon:daemon", when, got)
			}
		}
		wantLost := func(when string) {
			t.Helper()
			const words = path + ": the socket file is missing or was replaced; to create it again: sudo clusterctl reload lost"
			if r := m.Must(t, "show", "lost"); !strings.Contains(r.Stdout, words) || !strings.Contains(r.Stdout, path+" (lost)") {
				t.Errorf("%s: clusterctl show does not print the lost socket file: %v", when, r)
			}
			r := m.Must(t, "show", "--json", "lost")
			if err := outputschema.Check("show", []byte(r.Stdout)); err != nil || !strings.Contains(r.Stdout, `"state": "lost"`) ||
				!strings.Contains(r.Stdout, `"state": "degraded"`) {
				t.Errorf("%s: clusterctl show --json: want the states lost and degraded: %v, %v", when, r, err)
			}
			if r := m.Must(t, "ls", "--json"); !strings.Contains(r.Stdout, words) {
				t.Errorf("%s: clusterctl ls --json does not print the lost socket file: %v", when, r)
			}
		}
		wantServed("after the install")
		for _, command := range []string{"reload", "restart", "start"} {
			m.Sh(t, "rm "+path)
			wantLost("after the removal of the socket file")
			if r := m.Must(t, command, "--settle", "100ms", "lost"); !strings.Contains(r.Stderr,
				"clients do not reach "+path+" any more, so the socket is opened again") {
				t.Errorf("%s does not print that the socket is opened again: %v", command, r)
			}
			wantServed("after " + command)
		}
		// Simulate a command that was killed after it had stopped the socket unit. Then simulate a command that was
		// killed between the start of the socket unit and the restart of the workers.
		changeOneUnit := func(method, unit, want string) {
			m.Sh(t, "busctl -q call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "+
				method+" ss "+unit+" ignore-dependencies\n"+
				"until [ $(systemctl is-active "+unit+") = "+want+" ]; do sleep 0.02; done")
		}
		wantDegraded := func(when, words string) {
			t.Helper()
			if l := listApps(t, m, "lost")[0]; l.State != "degraded" || !strings.Contains(l.Problem, words) ||
				!strings.Contains(l.Problem, "clusterctl reload lost") {
				t.Errorf("%s: want the state degraded with the problem %q and the command: %+v", when, words, l)
			}
		}
		for _, command := range []string{"reload", "restart", "start"} {
			changeOneUnit("StopUnit", "lost.socket", "inactive")
			wantDegraded("with a stopped socket unit", path+" is closed")
			if command == "start" {
				changeOneUnit("StopUnit", "lost.service", "inactive")
				changeOneUnit("StartUnit", "lost.socket", "active")
				changeOneUnit("StartUnit", "lost.service", "active")
				wantDegraded("with workers that are older than the socket",
					"lost.socket was opened after the start of an instance")
			}
			m.Must(t, command, "--settle", "100ms", "lost")
			wantServed("after a killed command and " + command)
		}
		m.Sh(t, "rm "+path+`; systemd-run -q --unit=other-lost python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("`+path+`"); s.listen(); time.sleep(3600)'; until test -e `+path+`; do sleep 0.02; done`)
		wantLost("with the socket of another program")
		if r := m.Try("systemctl reload lost.service"); r.Code == 0 {
			t.Errorf("systemctl reload with the socket of another program: want an error: %v", r)
		}
		m.AwaitJournal(t, "clients do not reach "+path, "-u", "lost.service")
		m.Must(t, "reload", "--settle", "100ms", "lost")
		wantServed("after a reload has replaced the socket of another program")
		m.Sh(t, "systemctl stop other-lost.service")
		wantServed("after the other program has stopped")
	})
}
