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

// answers reports whether a server answers on a port.
func answers(m *kit.Machine, port int) bool {
	return m.Try(fmt.Sprintf("curl -fsS -m 20 http://127.0.0.1:%d/", port)).Code == 0
}

// TestUpdateListener adds listeners to an app under load and removes them again. No request on the first listener may fail.
// A broken release must not leave a new listener behind.
func TestUpdateListener(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-l", 2, 8615, "--ready", "notify", "--", worker)
		run1 := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: 100, Conns: 4})
		both := []string{"--listen", "admin=8616", "--listen", "sock=/run/update-l.sock", "--ready", "notify"}
		m.Must(t, installArgs(a, 8615, append(both, "--", worker)...)...)
		a.WantUp(t)
		if !answers(m, 8616) || m.Try("curl -fsS -m 20 --unix-socket /run/update-l.sock http://x/").Code != 0 {
			t.Error("the new listeners do not answer")
		}
		m.WriteFile(t, "/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", 0o755)

		// An update that removes the listeners fails, because its program does not run. The listeners must stay.
		if r := m.Clusterctl(t, installArgs(a, 8615, "--ready", "notify", "--", "/opt/e2e/update-exits")...); r.Code != notReached {
			t.Errorf("want exit status %d: %v", notReached, r)
		}
		a.WantUp(t)
		if !answers(m, 8616) {
			t.Error("an update that was rolled back has closed a listener")
		}
		m.Must(t, installArgs(a, 8615, "--ready", "notify", "--", worker)...)
		wantNone := func() {
			t.Helper()
			if answers(m, 8616) {
				t.Error("a removed listener answers")
			}
			left := m.Sh(t, "systemctl list-units --all --no-legend --plain 'update-l-*'; "+
				"ls -d /etc/systemd/system/update-l-* /run/systemd/system/update-l* /run/update-l.sock 2>/dev/null || true")
			if left != "" {
				t.Errorf("files of removed listeners are left:\n%s", left)
			}
		}
		wantNone()

		// An update that adds the listeners fails, because its program does not run. The listeners must not stay.
		if r := m.Clusterctl(t, installArgs(a, 8615, append(both, "--", "/opt/e2e/update-exits")...)...); r.Code != notReached {
			t.Errorf("want exit status %d: %v", notReached, r)
		}
		wantNone()
		a.WantUp(t)
		wantRead(t, a)
		kit.WantNoneLost(t, "the first listener", run1.Stop())
		// An update with a port that is in use is refused before it changes anything.
		p := fileContents(t, a)
		if r := m.Clusterctl(t, installArgs(a, 8615, "--listen", "busy=8615", "--", worker)...); r.Code == done || fileContents(t, a) != p {
			t.Errorf("an update with the same port twice: %v", r)
		}
	})
}

// TestUpdatePort changes the port of an app, which closes the port for a moment. The install must print that before it does
// so. If the new release is broken, the old port must answer again.
func TestUpdatePort(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-p", 2, 8617, "--ready", "notify", "--", worker)
		r := m.Must(t, installArgs(a, 8618, "--ready", "notify", "--", worker)...)
		if !strings.Contains(r.Stderr, "closed for a moment") {
			t.Errorf("install does not print that the port is closed: %v", r)
		}
		if answers(m, 8617) {
			t.Error("the old port answers")
		}
		a.Port = 8618
		a.WantUp(t)
		m.WriteFile(t, "/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
		before := fileContents(t, a)
		if r := m.Clusterctl(t, installArgs(a, 8617, "--ready", "notify", "--", "/opt/e2e/update-exits")...); r.Code != notReached {
			t.Errorf("want exit status %d: %v", notReached, r)
		}
		if now := fileContents(t, a); now != before {
			t.Errorf("the files have changed:\n%s\n%s", before, now)
		}
		a.WantUp(t)
		wantRead(t, a)
		// A second address with the same listener name goes into the same unit.
		m.Must(t, installArgs(a, 8618, "--listen", "8617", "--ready", "notify", "--", worker)...)
		a.WantUp(t)
		if !answers(m, 8617) {
			t.Error("the second address does not answer")
		}
	})
}

// TestUpdateBetweenListenerAndBackground changes a background app into an app with a listener, and back.
func TestUpdateBetweenListenerAndBackground(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.App{Machine: m, Name: "update-bg", Instances: 2, Port: 8619}
		t.Cleanup(func() { a.Uninstall(t) })
		background := []string{"install", a.Name, "-i", "2", "--no-listen", "--settle", "200ms", "--", "python3", ticker}
		m.Must(t, background...)
		m.Must(t, installArgs(a, 8619, "--", worker)...)
		a.WantUp(t)
		wantRead(t, a)
		m.Must(t, background...)
		if answers(m, 8619) {
			t.Error("the background app answers")
		}
		m.WantState(t, "active", append(a.Units(), a.Service())...)
		if left := m.Sh(t, "systemctl list-units --all --no-legend --plain '"+a.Socket()+
			"'; ls -d /run/systemd/system/update-bg* 2>/dev/null || true"); left != "" {
			t.Errorf("files of the socket are left:\n%s", left)
		}
	})
}
