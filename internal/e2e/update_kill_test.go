//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestKilledUpdate kills clusterctl at twenty moments during an update. The update replaces every instance, adds an
// instance and adds a socket. After the next command, an install or a start, all instances must have the configuration in
// /etc/clusterctl. No request may be lost.
func TestKilledUpdate(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-k", 2, 8610, "--env", "RELEASE=0", "--", worker)
		first := installArgs(a, 8610, "--env", "RELEASE=0", "--settle", "50ms", "--", worker)
		updated := a
		updated.Instances = 3
		args := func(release int) []string {
			return installArgs(updated, 8610, "--listen", "admin=8611", "--env", fmt.Sprintf("RELEASE=%d", release),
				"--settle", "50ms", "--", worker)
		}
		begin := time.Now()
		m.Must(t, args(100)...)
		at := killSchedule{whole: time.Since(begin), kills: 20}
		m.Must(t, first...)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: 200, Conns: 4})
		for i := 0; at.needsKill(t); i++ {
			p := m.Start(t, append([]string{kit.Ctl}, args(i+1)...)...)
			at.wait()
			killed := p.Stop()
			at.record(killed)
			pending := m.Try("test -e /var/lib/clusterctl/update-k/pending").Code == 0
			want, release := a, 0
			if i%2 == 0 {
				r := m.Must(t, "start", a.Name)
				if pending != strings.Contains(r.Stderr, "killed half-way") {
					t.Errorf("the directory pending exists: %v; want \"killed half-way\" only if it exists: %v", pending, r)
				}
				if killed.Code == 0 ||
					!pending && strings.Contains(m.ReadFile(t, "/etc/clusterctl/update-k.env"), fmt.Sprintf("RELEASE=\"%d\"\n", i+1)) {
					want, release = updated, i+1 // the update was complete before the kill
				}
			} else {
				m.Must(t, args(i+1)...)
				want, release = updated, i+1
			}
			t.Logf("%v: exit status %d; the directory pending exists: %v; the next command runs release %d",
				at, killed.Code, pending, release)
			wantRelease(t, want, release)
			m.Must(t, first...)
			if t.Failed() {
				break
			}
		}
		kit.WantNoneLost(t, "killed updates", run.Stop())
		a.WantUp(t)
	})
}

// TestKilledRollback kills clusterctl while it rolls back an update to a failing program. The next command must complete
// the rollback.
func TestKilledRollback(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, killRollbacks)
}

func killRollbacks(t *testing.T, m *kit.Machine) {
	a := kit.InstallNative(t, m, "update-k", 2, 8610, "--env", "RELEASE=0", "--", worker)
	first := installArgs(a, 8610, "--env", "RELEASE=0", "--", worker)
	m.WriteFile(t, "/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
	broken := installArgs(a, 8610, "--env", "RELEASE=0", "--settle", "50ms", "--ready", "notify", "--", "/opt/e2e/update-exits")
	begin := time.Now()
	if r := m.Clusterctl(t, broken...); r.Code != notReached {
		t.Fatalf("an update to a failing program: got exit status %d, want %d: %v", r.Code, notReached, r)
	}
	whole := time.Since(begin)
	others := a.PIDs(t)[1:]
	const kills = 4
	for i := range kills {
		p := m.Start(t, append([]string{kit.Ctl}, broken...)...)
		<-time.After(whole * time.Duration(kills+i) / (2 * kills)) // the rollback runs in the second half of the update
		t.Logf("killed after %d/%d of %v: exit status %d", kills+i, 2*kills, whole.Round(time.Millisecond), p.Stop().Code)
		m.Must(t, "start", a.Name)
		wantRelease(t, a, 0)
		kit.WantNotReplaced(t, others, a.PIDs(t)[1:])
		if r := m.Must(t, first...); !strings.Contains(r.Stdout, "nothing has changed") {
			t.Errorf("install with the old flags after the rollback: want \"nothing has changed\": %v", r)
		}
	}
}

// wantRelease fails the test unless all units of the app are active. The variable RELEASE must have the value of the
// parameter release, in every instance and in /etc/clusterctl.
func wantRelease(t testing.TB, a kit.App, release int) {
	t.Helper()
	a.Machine.WantState(t, "active", append(a.Units(), a.Service(), a.Socket())...)
	loaded := a.Machine.Sh(t, "systemctl list-units --no-legend --plain --state=active,activating '"+a.Name+"@*' '"+a.Name+"-*.socket'")
	sockets := 0
	if release > 0 {
		sockets = 1
	}
	if got := len(kit.Lines(loaded)); got != a.Instances+sockets {
		t.Errorf("%d units are active or starting, want %d:\n%s", got, a.Instances+sockets, loaded)
	}
	for i, pid := range a.PIDs(t) {
		if env := a.Machine.Sh(t, fmt.Sprintf("tr '\\0' '\\n' < /proc/%d/environ", pid)); !strings.Contains("\n"+env+"\n",
			fmt.Sprintf("\nRELEASE=%d\n", release)) {
			t.Errorf("instance %d: want RELEASE=%d in the environment:\n%s", i+1, release, env)
		}
	}
	if values := a.Machine.ReadFile(t, "/etc/clusterctl/"+a.Name+".env"); !strings.Contains(values,
		fmt.Sprintf("RELEASE=\"%d\"\n", release)) {
		t.Errorf("/etc/clusterctl/%s.env: want RELEASE=\"%d\":\n%s", a.Name, release, values)
	}
	wantNoDaemonReload(t, a)
}
