//go:build lab

package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestGeneratedUnitsNeedNoClusterctl runs clusterctl generate on the host, and copies the units into a machine on which
// clusterctl was never installed. The units must work on this machine without any other file of clusterctl.
func TestGeneratedUnitsNeedNoClusterctl(t *testing.T) {
	ctl := lab.Build(t, "./cmd/clusterctl")
	kit.BareMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		copyWorkers(t, m)
		dir := t.TempDir()
		out, err := exec.Command(ctl, "generate", "plain", "--output", dir, "--systemd-version", fmt.Sprint(m.Systemd(t)),
			"-i", "3", "--listen", "8195", "--activation", "native", "--ready", "notify", "--", goWorker).CombinedOutput()
		if err != nil {
			t.Fatalf("generate: %v\n%s", err, out)
		}
		m.CopyTree(t, dir, "/etc/systemd/system")
		m.Sh(t, "systemctl daemon-reload && systemctl enable --now plain")
		a := kit.App{Machine: m, Name: "plain", Instances: 3, Port: 8195}
		a.WantUp(t)
		wantNonblocking(t, a, "on a machine without clusterctl")

		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		m.Sh(t, "systemctl reload plain")
		kit.WantNoneLost(t, "systemctl reload on a machine without clusterctl", run.Stop())
		b := kit.DialBus(t, m)
		k := killRandomly(t, b, m, 3, time.Second, a.Units()...)
		b.Await(t, "all instances run again", k.runsAgain, a.Units()...)
		a.WantUp(t)
		t.Logf("%d kills", k.kills)
		m.Sh(t, "systemctl stop plain")
		a.WantDown(t, b)
		m.Reboot(t)
		a.WantUp(t)
	})
}
