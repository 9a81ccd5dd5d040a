//go:build lab

package e2e

import (
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestOneInstanceCrashLoops kills one of three workers each time the worker is ready, for 5 s under load. With systemd's
// default start limit, the unit would fail within a second, and its failure would close the socket of all three workers.
func TestOneInstanceCrashLoops(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "crash-one", 3, 8101, "--", goWorker)
		b := kit.DialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate, Duration: 5 * time.Second})
		k := killAtReady(t, b, m, a.Unit(2))
		r := run.Wait()
		k.stop()
		k.wantOnlyAcceptedLost(t, r)
		m.WantState(t, "active", a.Socket(), a.Service(), a.Unit(1), a.Unit(3))
		b.Await(t, "the instance runs again", k.runsAgain, a.Unit(2))
		a.WantUp(t)
	})
}

// TestAllInstancesCrashLoop makes every start of a worker fail for 2 s. The socket must queue the requests until a worker
// accepts them, so that no request fails.
func TestAllInstancesCrashLoop(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const flag = "/srv/crash-all/now"
		m.WriteFile(t, "/opt/e2e/flaky", "#!/bin/sh\nif [ -e "+flag+" ]; then exit 1; fi\nexec "+goWorker+"\n", 0o755)
		t.Cleanup(func() { m.Sh(t, "rm -rf /srv/crash-all") })
		a := kit.InstallNative(t, m, "crash-all", 3, 8102, "--ready", "notify", "--", "/opt/e2e/flaky")
		b := kit.DialBus(t, m)
		m.WriteFile(t, flag, "", 0o644)
		var k killCount
		for _, pid := range a.PIDs(t) {
			if err := k.countAndKill(t, m, pid); err != nil {
				t.Fatal(err)
			}
		}
		b.Await(t, "all instances are in a crash loop", func(s kit.Status) bool { return s.Restarts > 1 }, a.Units()...)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 16, Rate: rate})
		<-time.After(2 * time.Second) // the outage
		if r := run.Snapshot(); r.OK > 0 {
			t.Fatalf("requests were answered in the outage, want none: %v", r)
		}
		m.Sh(t, "rm "+flag)
		b.Await(t, "all instances run again", kit.Status.IsActive, a.Units()...)
		a.WantUp(t)
		kit.WantNoneLost(t, "an outage of 2 s", run.Stop())
	})
}

// TestAllInstancesKilledWhenReady kills every worker as soon as it is ready, for 2 s under load.
func TestAllInstancesKilledWhenReady(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "crash-ready", 3, 8103, "--", goWorker)
		b := kit.DialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		k := killAtReady(t, b, m, a.Units()...)
		<-time.After(2 * time.Second)
		k.stop()
		b.Await(t, "all instances run again", k.runsAgain, a.Units()...)
		a.WantUp(t)
		k.wantOnlyAcceptedLost(t, run.Stop())
	})
}

// TestRandomKills kills random running workers at 50 random moments within 20 s. With --min-uptime 100ms, most killed
// runs do not count as crashes, so restarts are not delayed. With the default --min-uptime, the delay after 16 kills of
// one worker would be longer than the test.
func TestRandomKills(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "kills", 3, 8104, "--min-uptime", "100ms", "--", goWorker)
		b := kit.DialBus(t, m)
		parallel := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		sequential := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 1, Rate: rate})
		k := killRandomly(t, b, m, 50, 20*time.Second, a.Units()...)
		b.Await(t, "all instances run again", k.runsAgain, a.Units()...)
		a.WantUp(t)
		k.wantOnlyAcceptedLost(t, parallel.Stop())
		k.wantAtMostOne(t, sequential.Stop())
	})
}
