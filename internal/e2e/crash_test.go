//go:build lab

package e2e

import (
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestOneInstanceCrashLoops has one of three workers killed each time it says that it is ready, for 5 s under load. With
// the obvious units its start limit closes the socket of all three after a second.
func TestOneInstanceCrashLoops(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "crash-one", 3, 8101, "--", goWorker)
		b := dialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.url, Rate: rate, Duration: 5 * time.Second})
		k := b.killAtReady(t, m, a.instance(2))
		r := run.Wait()
		k.stop()
		k.want(t, r)
		wantState(t, m, "active", a.socket(), a.service(), a.instance(1), a.instance(3))
		b.await(t, "the instance is back", k.back, a.instance(2))
		a.wantUp(t)
	})
}

// TestAllInstancesCrashLoop has all workers end before they accept anything, again and again, for 2 s: requests wait in
// the socket until a worker takes them, and none of them fails.
func TestAllInstancesCrashLoop(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		const flag = "/srv/crash-all/now"
		m.WriteFile(t, "/opt/e2e/flaky", "#!/bin/sh\nif [ -e "+flag+" ]; then exit 1; fi\nexec "+goWorker+"\n", 0o755)
		t.Cleanup(func() { m.Sh(t, "rm -rf /srv/crash-all") })
		a := install(t, m, "crash-all", 3, 8102, "--ready", "notify", "--", "/opt/e2e/flaky")
		b := dialBus(t, m)
		m.WriteFile(t, flag, "", 0o644)
		var k toll
		for _, pid := range a.pids(t) {
			if err := k.kill(t, m, pid); err != nil {
				t.Fatal(err)
			}
		}
		b.await(t, "all crash-loop", func(s status) bool { return s.nRestarts > 1 }, a.instances()...)
		run := load.Start(t, m, load.Options{URL: a.url, Conns: 16, Rate: rate})
		<-time.After(2 * time.Second) // the outage itself, no wait for anything
		if r := run.Snapshot(); r.OK > 0 {
			t.Fatalf("somebody has answered, so this tests nothing: %v", r)
		}
		m.Sh(t, "rm "+flag)
		b.await(t, "all are back", running, a.instances()...)
		a.wantUp(t)
		r := run.Stop()
		t.Logf("an outage of 2 s: %v", r)
		if r.Failed() > 0 || r.OK == 0 {
			t.Errorf("not all requests waited and succeeded: %v", r)
		}
	})
}

// TestAllInstancesKilledWhenReady is the same with workers that die as soon as they serve, with requests in them.
func TestAllInstancesKilledWhenReady(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "crash-ready", 3, 8103, "--", goWorker)
		b := dialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.url, Rate: rate})
		k := b.killAtReady(t, m, a.instances()...)
		<-time.After(2 * time.Second)
		k.stop()
		b.await(t, "all are back", k.back, a.instances()...)
		a.wantUp(t)
		k.want(t, run.Stop())
	})
}

// TestRandomKills sends 50 SIGKILL at random moments of 20 s, each to a random worker that runs. A run of a tenth of a
// second counts as a good one here: else the backoff would keep workers that are killed 16 times in a row down for longer
// than the test lasts.
func TestRandomKills(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "kills", 3, 8104, "--min-uptime", "100ms", "--", goWorker)
		b := dialBus(t, m)
		crowd := load.Start(t, m, load.Options{URL: a.url, Rate: rate})
		one := load.Start(t, m, load.Options{URL: a.url, Conns: 1, Rate: rate})
		k := b.killRandomly(t, m, 50, 20*time.Second, a.instances()...)
		b.await(t, "all are back", k.back, a.instances()...)
		a.wantUp(t)
		k.want(t, crowd.Stop())
		k.wantAtMostOne(t, one.Stop())
	})
}
