//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// The function answers reports whether a GET request to a port on 127.0.0.1 succeeds.
func answers(m *kit.Machine, port int) bool {
	return m.Try(fmt.Sprintf("curl -fsS -m 20 http://127.0.0.1:%d/", port)).Code == 0
}

// TestUpdateListener adds listeners to an app under load, and removes the new listeners again. No request on the first
// listener may fail. An update to a failing program must neither add nor remove a listener.
func TestUpdateListener(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-l", 2, 8615, "--ready", "notify", "--", worker)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: 100, Conns: 4})
		both := []string{"--listen", "admin=8616", "--listen", "sock=/run/update-l.sock", "--ready", "notify"}
		m.Must(t, installArgs(a, 8615, append(both, "--", worker)...)...)
		a.WantUp(t)
		if !answers(m, 8616) || m.Try("curl -fsS -m 20 --unix-socket /run/update-l.sock http://x/").Code != 0 {
			t.Error("a new listener does not answer, want responses on port 8616 and on /run/update-l.sock")
		}
		m.WriteFile(t, "/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", 0o755)

		// This update removes listeners and fails, because its program exits. The listeners must remain open.
		if r := m.Clusterctl(t, installArgs(a, 8615, "--ready", "notify", "--", "/opt/e2e/update-exits")...); r.Code != notReached {
			t.Errorf("an update to a failing program: got exit status %d, want %d: %v", r.Code, notReached, r)
		}
		a.WantUp(t)
		if !answers(m, 8616) {
			t.Error("port 8616 does not answer after a failed update that would have removed it")
		}
		m.Must(t, installArgs(a, 8615, "--ready", "notify", "--", worker)...)
		wantRemoved := func() {
			t.Helper()
			if answers(m, 8616) {
				t.Error("port 8616 answers, want no listener")
			}
			found := m.Sh(t, "systemctl list-units --all --no-legend --plain 'update-l-*'; "+
				"ls -d /etc/systemd/system/update-l-* /run/systemd/system/update-l* /run/update-l.sock 2>/dev/null || true")
			if found != "" {
				t.Errorf("units or files of the removed listeners exist:\n%s", found)
			}
		}
		wantRemoved()

		// This update adds listeners and fails, because its program exits. The new listeners must be removed.
		if r := m.Clusterctl(t, installArgs(a, 8615, append(both, "--", "/opt/e2e/update-exits")...)...); r.Code != notReached {
			t.Errorf("an update to a failing program: got exit status %d, want %d: %v", r.Code, notReached, r)
		}
		wantRemoved()
		a.WantUp(t)
		wantNoDaemonReload(t, a)
		kit.WantNoneLost(t, "updates of other listeners", run.Stop())
		// An update must be refused before any change if one port occurs twice.
		before := fileContents(t, a)
		r := m.Clusterctl(t, installArgs(a, 8615, "--listen", "busy=8615", "--", worker)...)
		if r.Code == done || fileContents(t, a) != before {
			t.Errorf("an update with one port twice: want an error and no changes: %v", r)
		}
	})
}

// TestUpdatePort changes the port of an app. For a moment, neither port is open. clusterctl install must print this
// before it closes the old port. If the program of an update fails, the old port must answer again.
func TestUpdatePort(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-p", 2, 8617, "--ready", "notify", "--", worker)
		r := m.Must(t, installArgs(a, 8618, "--ready", "notify", "--", worker)...)
		if !strings.Contains(r.Stderr, "closed for a moment") {
			t.Errorf("clusterctl install does not print that the port is closed for a moment: %v", r)
		}
		if answers(m, 8617) {
			t.Error("the old port 8617 still answers")
		}
		a.Port = 8618
		a.WantUp(t)
		m.WriteFile(t, "/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
		before := fileContents(t, a)
		if r := m.Clusterctl(t, installArgs(a, 8617, "--ready", "notify", "--", "/opt/e2e/update-exits")...); r.Code != notReached {
			t.Errorf("an update to a failing program: got exit status %d, want %d: %v", r.Code, notReached, r)
		}
		if now := fileContents(t, a); now != before {
			t.Errorf("the files were\n%s\nand are\n%s", before, now)
		}
		a.WantUp(t)
		wantNoDaemonReload(t, a)
		// Two addresses with the same listener name must be in one socket unit.
		m.Must(t, installArgs(a, 8618, "--listen", "8617", "--ready", "notify", "--", worker)...)
		a.WantUp(t)
		if !answers(m, 8617) {
			t.Error("the second address, port 8617, does not answer")
		}
	})
}

// TestUpdateBetweenListenerAndBackground changes a background app into an app with a listener, and then back into a
// background app.
func TestUpdateBetweenListenerAndBackground(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.App{Machine: m, Name: "update-bg", Instances: 2, Port: 8619}
		t.Cleanup(func() { a.Uninstall(t) })
		background := []string{"install", a.Name, "-i", "2", "--no-listen", "--settle", "200ms", "--", "python3", ticker}
		m.Must(t, background...)
		m.Must(t, installArgs(a, 8619, "--", worker)...)
		a.WantUp(t)
		wantNoDaemonReload(t, a)
		m.Must(t, background...)
		if answers(m, 8619) {
			t.Error("port 8619 still answers after the change to a background app")
		}
		m.WantState(t, "active", append(a.Units(), a.Service())...)
		if found := m.Sh(t, "systemctl list-units --all --no-legend --plain '"+a.Socket()+
			"'; ls -d /run/systemd/system/update-bg* 2>/dev/null || true"); found != "" {
			t.Errorf("units or files of the socket exist:\n%s", found)
		}
	})
}
