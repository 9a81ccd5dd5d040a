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

// brokenRelease describes a version of a program that cannot serve.
type brokenRelease struct {
	name   string
	script string   // the program as a shell script
	want   string   // a part of the expected error
	flags  []string // additional flags of reload
}

// brokenReleases returns versions of a program that exit, never listen, or exit after they are ready.
func brokenReleases() []brokenRelease {
	// This program sends READY=1 and exits. No request is lost, because the program never accepts a connection.
	exitsLater := `exec python3 -c '
import os, socket, time
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(0.3)
print("the new release gives up", flush=True)
os._exit(7)'`
	return []brokenRelease{
		{"exits", "echo no such module; exit 3", "exited with status 3", nil},
		// The timeout is long enough for the drain of the old worker and the start of the new program on a busy machine.
		{"never listens", "echo looking for the database; exec sleep 1000", "not up within 20s", []string{"--timeout", "20s"}},
		// The default of --settle is too short, because the reload could succeed before the program exits on a busy
		// machine.
		{"exits after 300 ms", exitsLater, "exited with status 7", []string{"--settle", "5s"}},
	}
}

// workingRelease returns a version of the program that serves, as a shell script.
func workingRelease() string { return "exec " + goWorker }

// TestReloadToABrokenRelease reloads an app after its program was replaced by a broken version. The reload must end when
// the first instance fails, and print the reason and the last log lines. The other instances must continue to run, and no
// request may be lost. After the program is fixed, a reload must replace all instances.
func TestReloadToABrokenRelease(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/release"
		release := func(script string) { m.WriteFile(t, program, "#!/bin/sh\n"+script+"\n", 0o755) }
		release(workingRelease())
		a := kit.InstallNative(t, m, "broken", 3, 8601, "--ready", "notify", "--", program)
		loads := startLoads(t, a)
		for _, b := range brokenReleases() {
			before := a.PIDs(t)
			others := func() []int { return []int{m.MainPID(t, a.Unit(2)), m.MainPID(t, a.Unit(3))} }
			release(b.script)
			reload := append([]string{"reload", a.Name}, b.flags...)
			r := m.Clusterctl(t, reload...)
			t.Logf("reload to a release that %s: %v", b.name, r)
			if r.Code != notReached {
				t.Errorf("a release that %s: got exit status %d, want %d", b.name, r.Code, notReached)
			}
			wantError(t, r.Stderr, a.Unit(1)+": ", b.want, "still running without a reload: 2 instances", "its last log lines")
			if now := others(); !slices.Equal(now, before[1:]) {
				t.Errorf("a release that %s: the PIDs of instances 2 and 3 changed from %v to %v", b.name, before[1:], now)
			}
			m.WantState(t, "active", a.Socket(), a.Service(), a.Unit(2), a.Unit(3))
			// The next reload must restart the broken instance first, fail again, and not restart another instance.
			if r := m.Clusterctl(t, reload...); r.Code != notReached || !slices.Equal(others(), before[1:]) {
				t.Errorf("a release that %s: second reload: want exit status %d and no change of instances 2 and 3: %v",
					b.name, notReached, r)
			}
			release(workingRelease())
			m.Must(t, "reload", a.Name, "--settle", "100ms")
			kit.WantReplaced(t, before, a.PIDs(t))
		}
		loads.WantNoneLost(t, "reloads to broken and to working releases")
		a.WantUp(t)
	})
}

// TestSystemctlReloadLogsReason runs "systemctl reload" with a broken version of the program. The command must fail, and
// the reason must be in the journal of the app's main service.
func TestSystemctlReloadLogsReason(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/says-why"
		m.WriteFile(t, program, "#!/bin/sh\n"+workingRelease()+"\n", 0o755)
		a := kit.InstallNative(t, m, "says-why", 2, 8602, "--ready", "notify", "--", program)
		m.WriteFile(t, program, "#!/bin/sh\necho no such module\nexit 3\n", 0o755)
		if r := m.Try("systemctl reload " + a.Name); r.Code == 0 {
			t.Error("systemctl reload to a broken program succeeded, want an error")
		}
		m.AwaitJournal(t, "clusterctl: says-why@1.service: exited with status 3", "-u", a.Service())
		m.AwaitJournal(t, "no such module", "-u", a.Service())
		m.WantState(t, "active", a.Service(), a.Unit(2))
		m.WriteFile(t, program, "#!/bin/sh\n"+workingRelease()+"\n", 0o755)
		m.Sh(t, "systemctl reload "+a.Name)
		a.WantUp(t)
	})
}

// TestScaleToABrokenRelease runs scale with a broken version of the program. clusterctl scale must remove the new
// instances, and must not change the files or the running instances of the app.
func TestScaleToABrokenRelease(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/scales"
		m.WriteFile(t, program, "#!/bin/sh\n"+workingRelease()+"\n", 0o755)
		a := kit.InstallNative(t, m, "scales", 2, 8603, "--ready", "notify", "--", program)
		before := kit.Lines(m.Sh(t, traces))
		pids := a.PIDs(t)
		m.WriteFile(t, program, "#!/bin/sh\necho no such module\nexit 3\n", 0o755)
		r := m.Clusterctl(t, "scale", a.Name, "+2")
		if r.Code != notReached {
			t.Errorf("scale +2: got exit status %d, want %d: %v", r.Code, notReached, r)
		}
		wantError(t, r.Stderr, "exited with status 3", "no such module", "scaling back to 2 instances")
		wantUntouched(t, m, before)
		kit.WantNotReplaced(t, pids, a.PIDs(t))
		a.WantUp(t)
	})
}

// TestScale changes the number of instances. A scale must reload the configuration of PID 1 at most once, and must delete
// the files of removed instances.
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
				t.Errorf("scale %s: PID 1 reloaded its configuration %d times, want %d", c.to, got, c.reloads)
			}
			if a.Instances = c.n; c.to == "max" {
				a.Instances = len(kit.Lines(m.Sh(t, "nproc | xargs seq")))
			}
			a.WantUp(t)
		}
		// A scale of a stopped app must not start the app. The next start must start the new number of instances.
		m.Must(t, "stop", a.Name)
		m.Must(t, "scale", a.Name, "2")
		m.WantState(t, "inactive", a.Unit(1), a.Unit(3), a.Socket())
		m.Must(t, "start", a.Name)
		a.Instances = 2
		a.WantUp(t)
		for _, invalid := range []string{"0", "-2", "1001", "x"} {
			if r := m.Clusterctl(t, "scale", a.Name, invalid); r.Code != usage || !strings.Contains(r.Stderr, "hint: ") {
				t.Errorf("scale %s: want exit status %d and a hint: %v", invalid, usage, r)
			}
		}
		if files := m.Sh(t, fmt.Sprintf("ls -A /run/clusterctl/%s /run/clusterctl/.extra 2>/dev/null | grep -v : || true",
			a.Name)); len(kit.Lines(files)) != 2 {
			t.Errorf("want only the files of two instances: %s", files)
		}
		a.WantUp(t)
	})
}

// TestReloadOfGeneratedUnits runs systemctl reload with units from "clusterctl generate". The reload must replace all
// instances although the app has no file in /etc/clusterctl. The reload must not create /run/clusterctl.
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
		if dir := m.Sh(t, "ls -d /run/clusterctl 2>/dev/null || true"); dir != "" {
			t.Errorf("%s exists after the reload", dir)
		}
	})
}
