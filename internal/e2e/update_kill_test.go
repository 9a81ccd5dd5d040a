//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestKilledUpdate kills clusterctl at twenty moments spread over an update that replaces every instance, starts one more
// and opens one more socket. The app serves all the time; the next command, an install or one that only wants it to run,
// leaves all instances on one configuration, the one on disk.
func TestKilledUpdate(t *testing.T) {
	alone(t, lab.Bookworm, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "update-k", 2, 8610, "--env", "RELEASE=0", "--", worker)
		first := a.again(8610, "--env", "RELEASE=0", "--settle", "50ms", "--", worker)
		grown := a
		grown.n = 3
		args := func(release int) []string {
			return grown.again(8610, "--listen", "admin=8611", "--env", fmt.Sprintf("RELEASE=%d", release), "--settle", "50ms", "--", worker)
		}
		begin := time.Now()
		must(t, m, args(100)...)
		at := moments{whole: time.Since(begin), kills: 20}
		must(t, m, first...)
		run := load.Start(t, m, load.Options{URL: a.url, Rate: 200, Conns: 4})
		for i := 0; at.more(t); i++ {
			p := m.Start(t, append([]string{ctl}, args(i+1)...)...)
			at.wait()
			killed := p.Stop()
			at.note(killed)
			pending := m.Try("test -e /var/lib/clusterctl/update-k/pending").Code == 0
			want, release := a, 0
			if i%2 == 0 {
				r := must(t, m, "start", a.name)
				if pending != strings.Contains(r.Stderr, "killed half-way") {
					t.Errorf("an intent is there: %v, and start says:\n%v", pending, r)
				}
				if killed.Code == 0 || !pending && strings.Contains(m.ReadFile(t, "/etc/clusterctl/update-k.env"), fmt.Sprintf("RELEASE=\"%d\"\n", i+1)) {
					want, release = grown, i+1 // it had done its work
				}
			} else {
				must(t, m, args(i+1)...)
				want, release = grown, i+1
			}
			t.Logf("killed after %v: exit status %d, intent %v, then release %d", at, killed.Code, pending, release)
			want.wantRelease(t, release)
			must(t, m, first...)
			if t.Failed() {
				break
			}
		}
		if r := run.Stop(); r.Failed() > 0 || r.OK == 0 {
			t.Errorf("requests failed: %v", r)
		}
		a.wantUp(t)
	})
}

// TestKilledUndo kills clusterctl while it puts back a release that does not come up: the next command goes on with that.
func TestKilledUndo(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, killedUndo)
}

func killedUndo(t *testing.T, m *lab.Machine) {
	a := install(t, m, "update-k", 2, 8610, "--env", "RELEASE=0", "--", worker)
	first := a.again(8610, "--env", "RELEASE=0", "--", worker)
	m.WriteFile(t, "/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
	broken := a.again(8610, "--env", "RELEASE=0", "--settle", "50ms", "--ready", "notify", "--", "/opt/e2e/update-exits")
	begin := time.Now()
	if r := run(t, m, broken...); r.Code != notReached {
		t.Fatalf("want exit status %d: %v", notReached, r)
	}
	whole := time.Since(begin)
	others := a.pids(t)[1:]
	const kills = 4
	for i := range kills {
		p := m.Start(t, append([]string{ctl}, broken...)...)
		<-time.After(whole * time.Duration(kills+i) / (2 * kills)) // the moment is what is varied
		t.Logf("killed after %d/%d of %v: exit status %d", kills+i, 2*kills, whole.Round(time.Millisecond), p.Stop().Code)
		must(t, m, "start", a.name)
		a.wantRelease(t, 0)
		if now := a.pids(t)[1:]; !slices.Equal(now, others) {
			t.Errorf("the others were touched: %v, then %v", others, now)
		}
		if r := must(t, m, first...); !strings.Contains(r.Stdout, "nothing has changed") {
			t.Errorf("it is not as it was: %v", r)
		}
	}
}

// wantRelease fails the test unless the app is up, and every instance is of that release.
func (a app) wantRelease(t testing.TB, release int) {
	t.Helper()
	wantState(t, a.m, "active", append(a.instances(), a.service(), a.socket())...)
	loaded := a.m.Sh(t, "systemctl list-units --no-legend --plain --state=active,activating '"+a.name+"@*' '"+a.name+"-*.socket'")
	sockets := 0
	if release > 0 {
		sockets = 1
	}
	if got := len(lines(loaded)); got != a.n+sockets {
		t.Errorf("%d units run, want %d:\n%s", got, a.n+sockets, loaded)
	}
	for i, pid := range a.pids(t) {
		if env := a.m.Sh(t, fmt.Sprintf("tr '\\0' '\\n' < /proc/%d/environ", pid)); !strings.Contains("\n"+env+"\n", fmt.Sprintf("\nRELEASE=%d\n", release)) {
			t.Errorf("instance %d is not of release %d:\n%s", i+1, release, env)
		}
	}
	if values := a.m.ReadFile(t, "/etc/clusterctl/"+a.name+".env"); !strings.Contains(values, fmt.Sprintf("RELEASE=\"%d\"\n", release)) {
		t.Errorf("the configuration is not that of release %d:\n%s", release, values)
	}
	a.wantRead(t)
}
