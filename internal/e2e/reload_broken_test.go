//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// brokenRelease is the script of a release that does not run, with a part of the expected error.
type brokenRelease struct {
	name, script, want string
	flags              []string
}

func brokenReleases() []brokenRelease {
	// dies reports that it is ready and never accepts a connection, so its end breaks no request.
	dies := `exec python3 -c '
import os, socket, time
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(0.3)
print("the new release gives up", flush=True)
os._exit(7)'`
	return []brokenRelease{
		{"exits", "echo no such module; exit 3", "exited with status 3", nil},
		// The timeout includes the drain of the old worker, and on a busy machine a program needs about a second to start.
		{"never listens", "echo looking for the database; exec sleep 1000", "not up within 20s", []string{"--timeout", "20s"}},
		// On a busy machine, the default time to settle is too short to see the exit after 300 ms.
		{"dies after 300 ms", dies, "exited with status 7", []string{"--settle", "5s"}},
	}
}

// goodRelease returns the script of a release that runs.
func goodRelease() string { return "exec " + goWorker }

// TestReloadToABrokenRelease: a reload ends at the first instance, and its error has the reason and the last log lines. The
// other instances serve with the old code, and no request is lost. When the release is fixed, a reload replaces all
// instances.
func TestReloadToABrokenRelease(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/release"
		release := func(script string) { m.WriteFile(t, program, "#!/bin/sh\n"+script+"\n", 0o755) }
		release(goodRelease())
		a := kit.InstallNative(t, m, "broken", 3, 8601, "--ready", "notify", "--", program)
		loads := startLoads(t, a)
		for _, b := range brokenReleases() {
			before := a.PIDs(t)
			others := func() []int { return []int{m.MainPID(t, a.Unit(2)), m.MainPID(t, a.Unit(3))} }
			release(b.script)
			reload := append([]string{"reload", a.Name}, b.flags...)
			r := m.Clusterctl(t, reload...)
			t.Logf("a release that %s: %v", b.name, r)
			if r.Code != notReached {
				t.Errorf("%s: want exit status %d", b.name, notReached)
			}
			wantError(t, r.Stderr, a.Unit(1)+": ", b.want, "still running without a reload: 2 instances", "its last log lines")
			if now := others(); !slices.Equal(now, before[1:]) {
				t.Errorf("%s: other instances were replaced: %v, then %v", b.name, before[1:], now)
			}
			m.WantState(t, "active", a.Socket(), a.Service(), a.Unit(2), a.Unit(3))
			// The next reload starts with the broken instance, so it does not affect another instance.
			if r := m.Clusterctl(t, reload...); r.Code != notReached || !slices.Equal(others(), before[1:]) {
				t.Errorf("%s: a second reload affects another instance: %v", b.name, r)
			}
			release(goodRelease())
			m.Must(t, "reload", a.Name, "--settle", "100ms")
			for i, pid := range a.PIDs(t) {
				if slices.Contains(before, pid) {
					t.Errorf("%s: instance %d was not replaced", b.name, i+1)
				}
			}
		}
		loads.WantNoneLost(t, "reloads to broken releases and back")
		a.WantUp(t)
	})
}

// TestSystemctlReloadSaysWhy: "systemctl reload" fails for a broken release, and the journal has the reason.
func TestSystemctlReloadSaysWhy(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/says-why"
		m.WriteFile(t, program, "#!/bin/sh\n"+goodRelease()+"\n", 0o755)
		a := kit.InstallNative(t, m, "says-why", 2, 8602, "--ready", "notify", "--", program)
		m.WriteFile(t, program, "#!/bin/sh\necho no such module\nexit 3\n", 0o755)
		if r := m.Try("systemctl reload " + a.Name); r.Code == 0 {
			t.Error("a reload to a broken program succeeds")
		}
		m.AwaitJournal(t, "clusterctl: says-why@1.service: exited with status 3", "-u", a.Service())
		m.AwaitJournal(t, "no such module", "-u", a.Service())
		m.WantState(t, "active", a.Service(), a.Unit(2))
		m.WriteFile(t, program, "#!/bin/sh\n"+goodRelease()+"\n", 0o755)
		m.Sh(t, "systemctl reload "+a.Name)
		a.WantUp(t)
	})
}

// TestScaleToABrokenRelease: a scale takes new instances back if they do not run, and leaves the app unchanged.
func TestScaleToABrokenRelease(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/scales"
		m.WriteFile(t, program, "#!/bin/sh\n"+goodRelease()+"\n", 0o755)
		a := kit.InstallNative(t, m, "scales", 2, 8603, "--ready", "notify", "--", program)
		before := kit.Lines(m.Sh(t, traces))
		pids := a.PIDs(t)
		m.WriteFile(t, program, "#!/bin/sh\necho no such module\nexit 3\n", 0o755)
		r := m.Clusterctl(t, "scale", a.Name, "+2")
		if r.Code != notReached {
			t.Errorf("want exit status %d: %v", notReached, r)
		}
		wantError(t, r.Stderr, "exited with status 3", "no such module", "scaling back to 2 instances")
		wantUntouched(t, m, before)
		if now := a.PIDs(t); !slices.Equal(now, pids) {
			t.Errorf("instances were replaced: %v, then %v", pids, now)
		}
		a.WantUp(t)
	})
}

// TestScale checks how often a scale reloads systemd, and that it leaves no files.
func TestScale(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "scaled", 2, 8604, "--", goWorker)
		reloads := func() int {
			return len(kit.Lines(m.Sh(t, "journalctl -q _PID=1 -o cat --grep '^Reloading( requested|\\.|$)' | grep -v finished || true")))
		}
		for _, c := range []struct {
			to      string
			n       int
			reloads int
		}{{"4", 4, 1}, {"4", 4, 0}, {"+1", 5, 1}, {"-3", 2, 1}, {"2", 2, 0}, {"max", 2, 1}, {"3", 3, 1}} {
			before := reloads()
			m.Must(t, "scale", a.Name, c.to, "--settle", "50ms")
			m.Sh(t, "journalctl --sync")
			if got := reloads() - before; got != c.reloads {
				t.Errorf("scale %s reloads systemd %d times, want %d", c.to, got, c.reloads)
			}
			if a.Instances = c.n; c.to == "max" {
				a.Instances = len(kit.Lines(m.Sh(t, "nproc | xargs seq")))
			}
			a.WantUp(t)
		}
		// A stopped app stays stopped, and has the new number of instances at its next start.
		m.Must(t, "stop", a.Name)
		m.Must(t, "scale", a.Name, "2")
		m.WantState(t, "inactive", a.Unit(1), a.Unit(3), a.Socket())
		m.Must(t, "start", a.Name)
		a.Instances = 2
		a.WantUp(t)
		for _, bad := range []struct {
			args []string
			code int
		}{{[]string{"0"}, usage}, {[]string{"-2"}, usage}, {[]string{"1001"}, usage}, {[]string{"x"}, usage}} {
			if r := m.Clusterctl(t, slices.Concat([]string{"scale", a.Name}, bad.args)...); r.Code != bad.code ||
				!strings.Contains(r.Stderr, "hint: ") {
				t.Errorf("scale %v: %v", bad.args, r)
			}
		}
		if left := m.Sh(t, fmt.Sprintf("ls -A /run/clusterctl/%s /run/clusterctl/.extra 2>/dev/null | grep -v : || true",
			a.Name)); len(kit.Lines(left)) != 2 {
			t.Errorf("files of removed instances are left: %s", left)
		}
		a.WantUp(t)
	})
}

// TestReloadOfGeneratedUnits: units from "clusterctl generate" have no source and no lock. A reload by clusterctl must
// work, and must leave nothing behind.
func TestReloadOfGeneratedUnits(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		t.Cleanup(func() {
			m.Sh(t, "systemctl stop generated.service generated.socket 'generated@*' clusterctl-generated.slice; "+
				"rm -rf /etc/systemd/system/generated* /etc/systemd/system/clusterctl-generated.slice; "+
				"systemctl daemon-reload; systemctl reset-failed")
			wantUntouched(t, m, before)
		})
		m.Must(t, "generate", "generated", "--output", "/etc/systemd/system", "-i", "2", "--listen", "8615",
			"--activation", "native", "--ready", "notify", "--restart", "no", "--", goWorker)
		m.Sh(t, "systemctl daemon-reload; systemctl start generated")
		a := kit.App{Machine: m, Name: "generated", Instances: 2, Port: 8615}
		pids := a.PIDs(t)
		m.Sh(t, "systemctl reload generated")
		m.AwaitJournal(t, "generated: reloaded 2 instances", "-u", a.Service())
		kit.WantReplaced(t, pids, a.PIDs(t))
		a.WantUp(t)
		if left := m.Sh(t, "ls -d /run/clusterctl 2>/dev/null || true"); left != "" {
			t.Errorf("the reload leaves files in %s", left)
		}
	})
}
