//go:build lab

package e2e

import (
	"fmt"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestUninstallLeavesNothing uninstalls an app in different states, and checks that no file or unit of the app remains.
func TestUninstallLeavesNothing(t *testing.T) {
	states := []struct {
		name string
		make func(t *testing.T, m *kit.Machine, a kit.App)
	}{
		// The first three states are tested on every Debian release, the other states only on Bookworm.
		{"with a failed socket", func(t *testing.T, m *kit.Machine, a kit.App) {
			// Another program listens on the port, so systemd cannot open the socket.
			m.Must(t, "stop", a.Name)
			listenOn(t, m, 8160)
			if r := m.Try("systemctl start " + a.Name); r.Code == 0 {
				t.Error("systemctl start succeeded although the port is in use, want an error")
			}
		}},
		{"in a crash loop", func(t *testing.T, m *kit.Machine, a kit.App) {
			m.WriteFile(t, "/opt/e2e/goes", "#!/bin/sh\nexit 1\n", 0o755)
			m.Sh(t, "systemctl kill -s KILL '"+a.Name+"@*'")
			kit.DialBus(t, m).Await(t, "all instances are in a crash loop", func(s kit.Status) bool { return s.Restarts > 1 }, a.Units()...)
		}},
		{"with resource limits", func(t *testing.T, m *kit.Machine, a kit.App) {
			m.Sh(t, "systemctl set-property clusterctl-gone.slice TasksMax=1000; "+
				"systemctl set-property --runtime gone@1.service TasksMax=500")
		}},
		{"running", func(*testing.T, *kit.Machine, kit.App) {}},
		{"running with requests", func(t *testing.T, m *kit.Machine, a kit.App) {
			load.Start(t, m, load.Options{URL: a.URL("/"), Requests: 2000})
		}},
		{"stopped", func(t *testing.T, m *kit.Machine, a kit.App) { m.Sh(t, "systemctl stop "+a.Name) }},
		{"disabled", func(t *testing.T, m *kit.Machine, a kit.App) { m.Sh(t, "systemctl disable --now "+a.Name) }},
		{"with an enabled instance", func(t *testing.T, m *kit.Machine, a kit.App) {
			m.Sh(t, "systemctl add-wants multi-user.target "+a.Unit(2))
		}},
		{"with an instance above the instance count", func(t *testing.T, m *kit.Machine, a kit.App) {
			m.Sh(t, "systemctl start "+a.Unit(7))
		}},
	}
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		states := states
		if m.Release() != lab.Bookworm {
			states = states[:3]
		}
		for _, s := range states {
			t.Run(s.name, func(t *testing.T) {
				m.WriteFile(t, "/opt/e2e/goes", "#!/bin/sh\nexec "+worker+"\n", 0o755)
				a := kit.InstallNative(t, m, "gone", 2, 8160, "--listen", "/run/gone.sock", "--listen", "udp:8160",
					"--listen", "/run/gone/sub/dir.sock",
					"--ready", "notify", "--", "/opt/e2e/goes")
				s.make(t, m, a)
				r := m.Must(t, "uninstall", "--yes", a.Name)
				if r.Stdout != "" {
					t.Errorf("clusterctl uninstall writes %q to stdout, want no output", r.Stdout)
				}
				wantUntouched(t, m, before)
				if u := m.Try("systemctl status gone gone.socket gone@1 gone@2"); u.Code != 4 { // 4 means "no such unit"
					t.Errorf("systemctl status after the uninstall: got exit status %d, want 4: %v", u.Code, u)
				}
			})
		}
	})
}

// TestAdministratorsFilesAreKept writes drop-ins and other files next to the files of an app, as an administrator. An
// uninstall must not change or remove these files.
func TestAdministratorsFilesAreKept(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		files := map[string]string{
			"/etc/systemd/system/foreign.service.d/override.conf":   "[Unit]\nDocumentation=man:foreign(8)\n",
			"/etc/systemd/system/foreign@.service.d/env.conf":       "[Service]\nEnvironment=FOREIGN=1\n",
			"/etc/systemd/system/foreign@2.service.d/second.conf":   "[Service]\nEnvironment=SECOND=1\n",
			"/etc/systemd/system/foreign-other.service":             "[Service]\nExecStart=/bin/true\n",
			"/etc/systemd/system/clusterctl-foreign.slice.d/m.conf": "[Slice]\nCPUWeight=50\n",
			"/etc/clusterctl/README":                                "ours\n",
		}
		t.Cleanup(func() {
			m.Sh(t, "rm -rf /etc/systemd/system/*foreign* /etc/clusterctl/README; "+
				"rmdir --ignore-fail-on-non-empty /etc/clusterctl; systemctl daemon-reload")
		})
		for path, data := range files {
			m.WriteFile(t, path, data, 0o640)
		}
		m.Sh(t, "systemctl daemon-reload")
		before := kit.Lines(m.Sh(t, traces))
		a := kit.InstallNative(t, m, "foreign", 2, 8161, "--", goWorker)
		a.WantUp(t)
		if env := m.Sh(t, "tr '\\0' '\\n' < /proc/"+m.Sh(t, "systemctl show -p MainPID --value foreign@2")+
			"/environ | grep -c -e FOREIGN=1 -e SECOND=1"); env != "2" {
			t.Errorf("%s of the two variables in the drop-ins are set, want 2", env)
		}
		// A mask is a link to /dev/null with the name of the unit. clusterctl uninstall must not remove this link.
		m.Sh(t, "systemctl mask foreign@2.service")
		m.Must(t, "uninstall", "--yes", a.Name)
		m.Sh(t, "test -L /etc/systemd/system/foreign@2.service && systemctl unmask foreign@2.service")
		wantUntouched(t, m, before)
		for path, data := range files {
			if got := m.ReadFile(t, path); got != data {
				t.Errorf("%s contains %q, want %q", path, got, data)
			}
		}
	})
}

// TestReplacedUnitIsKept replaces a unit file of an app with another unit, as an administrator. An uninstall must not
// remove this unit.
func TestReplacedUnitIsKept(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const path, other = "/etc/systemd/system/edited.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
		m.WriteFile(t, path, other, 0o644)
		t.Cleanup(func() { m.Sh(t, "rm -f "+path+"; systemctl daemon-reload") })
		m.Sh(t, "systemctl daemon-reload")
		before := kit.Lines(m.Sh(t, traces))
		m.Sh(t, "rm "+path)
		kit.InstallNative(t, m, "edited", 1, 8162, "--", goWorker)
		m.WriteFile(t, path, other, 0o644)
		m.Must(t, "uninstall", "--yes", "edited")
		wantUntouched(t, m, before)
	})
}

// listenOn runs a program that listens on a port until the test ends.
func listenOn(t testing.TB, m *kit.Machine, port int) {
	t.Helper()
	name := fmt.Sprintf("listener-%d", port)
	p := m.Start(t, "systemd-cat", "-t", name, "python3", "-c", fmt.Sprintf(`
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", %d))
s.listen()
print("listening", flush=True)
while True:
    s.accept()`, port))
	m.AwaitJournal(t, "listening", "-t", name)
	t.Cleanup(func() { p.Stop() })
}
