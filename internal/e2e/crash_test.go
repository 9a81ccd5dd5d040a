//go:build lab

package e2e

import (
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestOneInstanceCrashLoops kills one of three workers each time it reports that it is ready, for 5 s under load. In a
// naive setup, the start limit would close the socket of all three after a second.
func TestOneInstanceCrashLoops(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "crash-one", 3, 8101, "--", goWorker)
		b := kit.DialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate, Duration: 5 * time.Second})
		k := killAtReady(t, b, m, a.Unit(2))
		r := run.Wait()
		k.stop()
		k.wantOnlyHeldLost(t, r)
		m.WantState(t, "active", a.Socket(), a.Service(), a.Unit(1), a.Unit(3))
		b.Await(t, "the instance is back", k.runsAgain, a.Unit(2))
		a.WantUp(t)
	})
}

// TestAllInstancesCrashLoop makes all workers exit before they accept connections, again and again, for 2 s. Requests wait
// in the socket until a worker accepts them, and none fails.
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
			if err := k.kill(t, m, pid); err != nil {
				t.Fatal(err)
			}
		}
		b.Await(t, "all instances are in a crash loop", func(s kit.Status) bool { return s.Restarts > 1 }, a.Units()...)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 16, Rate: rate})
		<-time.After(2 * time.Second) // the duration of the outage
		if r := run.Snapshot(); r.OK > 0 {
			t.Fatalf("requests were answered in the outage, so this tests nothing: %v", r)
		}
		m.Sh(t, "rm "+flag)
		b.Await(t, "all instances are back", kit.Status.IsActive, a.Units()...)
		a.WantUp(t)
		kit.WantNoneLost(t, "an outage of 2 s", run.Stop())
	})
}

// TestAllInstancesKilledWhenReady kills all workers as soon as they serve, while they have requests.
func TestAllInstancesKilledWhenReady(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "crash-ready", 3, 8103, "--", goWorker)
		b := kit.DialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		k := killAtReady(t, b, m, a.Units()...)
		<-time.After(2 * time.Second)
		k.stop()
		b.Await(t, "all instances are back", k.runsAgain, a.Units()...)
		a.WantUp(t)
		k.wantOnlyHeldLost(t, run.Stop())
	})
}

// TestRandomKills sends SIGKILL 50 times at random moments within 20 s, each time to a random running worker. Runs longer
// than a tenth of a second do not count as short here. Otherwise a worker that is killed 16 times in a row would be down
// for longer than the test lasts.
func TestRandomKills(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "kills", 3, 8104, "--min-uptime", "100ms", "--", goWorker)
		b := kit.DialBus(t, m)
		crowd := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		one := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 1, Rate: rate})
		k := killRandomly(t, b, m, 50, 20*time.Second, a.Units()...)
		b.Await(t, "all instances are back", k.runsAgain, a.Units()...)
		a.WantUp(t)
		k.wantOnlyHeldLost(t, crowd.Stop())
		k.wantAtMostOne(t, one.Stop())
	})
}
