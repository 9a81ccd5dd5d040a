//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestKilledUpdate kills clusterctl at twenty moments spread over an update that replaces every instance, starts another
// instance and opens another socket. The app must serve all the time. The next command, an install or a start, must leave
// all instances with the configuration that is on disk.
func TestKilledUpdate(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-k", 2, 8610, "--env", "RELEASE=0", "--", worker)
		first := installArgs(a, 8610, "--env", "RELEASE=0", "--settle", "50ms", "--", worker)
		grown := a
		grown.Instances = 3
		args := func(release int) []string {
			return installArgs(grown, 8610, "--listen", "admin=8611", "--env", fmt.Sprintf("RELEASE=%d", release),
				"--settle", "50ms", "--", worker)
		}
		begin := time.Now()
		m.Must(t, args(100)...)
		at := killSchedule{whole: time.Since(begin), kills: 20}
		m.Must(t, first...)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: 200, Conns: 4})
		for i := 0; at.more(t); i++ {
			p := m.Start(t, append([]string{kit.Ctl}, args(i+1)...)...)
			at.wait()
			killed := p.Stop()
			at.record(killed)
			pending := m.Try("test -e /var/lib/clusterctl/update-k/pending").Code == 0
			want, release := a, 0
			if i%2 == 0 {
				r := m.Must(t, "start", a.Name)
				if pending != strings.Contains(r.Stderr, "killed half-way") {
					t.Errorf("an intent exists: %v, but start prints:\n%v", pending, r)
				}
				if killed.Code == 0 ||
					!pending && strings.Contains(m.ReadFile(t, "/etc/clusterctl/update-k.env"), fmt.Sprintf("RELEASE=\"%d\"\n", i+1)) {
					want, release = grown, i+1 // the update was complete
				}
			} else {
				m.Must(t, args(i+1)...)
				want, release = grown, i+1
			}
			t.Logf("killed after %v: exit status %d, intent %v, then release %d", at, killed.Code, pending, release)
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

// TestKilledRollback kills clusterctl while it rolls back a release that does not come up. The next command must complete
// the rollback.
func TestKilledRollback(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, killedUndo)
}

func killedUndo(t *testing.T, m *kit.Machine) {
	a := kit.InstallNative(t, m, "update-k", 2, 8610, "--env", "RELEASE=0", "--", worker)
	first := installArgs(a, 8610, "--env", "RELEASE=0", "--", worker)
	m.WriteFile(t, "/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
	broken := installArgs(a, 8610, "--env", "RELEASE=0", "--settle", "50ms", "--ready", "notify", "--", "/opt/e2e/update-exits")
	begin := time.Now()
	if r := m.Clusterctl(t, broken...); r.Code != notReached {
		t.Fatalf("want exit status %d: %v", notReached, r)
	}
	whole := time.Since(begin)
	others := a.PIDs(t)[1:]
	const kills = 4
	for i := range kills {
		p := m.Start(t, append([]string{kit.Ctl}, broken...)...)
		<-time.After(whole * time.Duration(kills+i) / (2 * kills)) // each kill comes at another moment
		t.Logf("killed after %d/%d of %v: exit status %d", kills+i, 2*kills, whole.Round(time.Millisecond), p.Stop().Code)
		m.Must(t, "start", a.Name)
		wantRelease(t, a, 0)
		if now := a.PIDs(t)[1:]; !slices.Equal(now, others) {
			t.Errorf("other instances were replaced: %v, then %v", others, now)
		}
		if r := m.Must(t, first...); !strings.Contains(r.Stdout, "nothing has changed") {
			t.Errorf("the app was not rolled back completely: %v", r)
		}
	}
}

// wantRelease fails the test unless the app is up, and the configuration and every instance have the release.
func wantRelease(t testing.TB, a kit.App, release int) {
	t.Helper()
	a.Machine.WantState(t, "active", append(a.Units(), a.Service(), a.Socket())...)
	loaded := a.Machine.Sh(t, "systemctl list-units --no-legend --plain --state=active,activating '"+a.Name+"@*' '"+a.Name+"-*.socket'")
	sockets := 0
	if release > 0 {
		sockets = 1
	}
	if got := len(kit.Lines(loaded)); got != a.Instances+sockets {
		t.Errorf("%d units run, want %d:\n%s", got, a.Instances+sockets, loaded)
	}
	for i, pid := range a.PIDs(t) {
		if env := a.Machine.Sh(t, fmt.Sprintf("tr '\\0' '\\n' < /proc/%d/environ", pid)); !strings.Contains("\n"+env+"\n",
			fmt.Sprintf("\nRELEASE=%d\n", release)) {
			t.Errorf("instance %d is not of release %d:\n%s", i+1, release, env)
		}
	}
	if values := a.Machine.ReadFile(t, "/etc/clusterctl/"+a.Name+".env"); !strings.Contains(values,
		fmt.Sprintf("RELEASE=\"%d\"\n", release)) {
		t.Errorf("the configuration is not the one of release %d:\n%s", release, values)
	}
	wantRead(t, a)
}
