//go:build lab

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestPlainUnits has the units made on another machine and put into one that has never seen clusterctl: they are all that
// is needed.
func TestPlainUnits(t *testing.T) {
	ctl := lab.Build(t, "./cmd/clusterctl")
	for _, r := range lab.All() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			m := lab.Boot(t, r)
			equipWorkers(t, m)
			dir := t.TempDir()
			out, err := exec.Command(ctl, "generate", "plain", "--output", dir, "--systemd-version", fmt.Sprint(m.Systemd(t)),
				"-i", "3", "--listen", "8195", "--activation", "native", "--ready", "notify", "--", goWorker).CombinedOutput()
			if err != nil {
				t.Fatalf("generate: %v\n%s", err, out)
			}
			copyUnits(t, m, dir)
			m.Sh(t, "systemctl daemon-reload && systemctl enable --now plain")
			a := app{m: m, name: "plain", n: 3, url: "http://127.0.0.1:8195/"}
			a.wantUp(t)
			a.wantNonblocking(t, "without clusterctl")

			run := load.Start(t, m, load.Options{URL: a.url, Rate: rate})
			m.Sh(t, "systemctl reload plain")
			rep := run.Stop()
			t.Logf("a reload without clusterctl: %v", rep)
			if rep.Failed() > 0 || rep.OK == 0 {
				t.Error("requests were lost")
			}
			b := dialBus(t, m)
			k := b.killRandomly(t, m, 3, time.Second, a.instances()...)
			b.await(t, "all are back", k.back, a.instances()...)
			a.wantUp(t)
			t.Logf("%d kills", k.kills)
			m.Sh(t, "systemctl stop plain")
			a.wantDown(t, b)
			m.Reboot(t)
			a.wantUp(t)
		})
	}
}

// copyUnits puts the files of a directory of the host into /etc/systemd/system.
func copyUnits(t testing.TB, m *lab.Machine, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil {
			m.CopyIn(t, path, filepath.Join("/etc/systemd/system", rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
