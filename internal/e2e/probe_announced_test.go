//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestProbeIsAnnounced checks that clusterctl install prints the command line of a probe to stderr before the probe runs
// the program. If an app with this name is running, clusterctl install must also print how many instances are running.
func TestProbeIsAnnounced(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program, stderr, seen = "/opt/e2e/probed", "/run/probe.err", "/run/probe.seen"
		// At its first start, the program copies the text that install has written to stderr so far.
		m.WriteFile(t, program, "#!/bin/sh\n[ -e "+seen+" ] || cp "+stderr+" "+seen+"\nexec python3 -m http.server 8172\n", 0o755)
		a := kit.App{Machine: m, Name: "probed", Instances: 2}
		t.Cleanup(func() {
			a.Uninstall(t)
			m.Sh(t, "rm -f "+program+" "+stderr+" "+seen)
		})
		install := func(flags string, want ...string) {
			t.Helper()
			m.Sh(t, "rm -f "+seen)
			if r := m.Try(kit.Ctl + " install probed -i 2 --run-as root --sandbox off --settle 200ms " + flags + " -- " +
				program + " 'a b' 2> " + stderr); r.Code != 0 {
				t.Fatalf("install %s: %v\n%s", flags, r, m.ReadFile(t, stderr))
			}
			got := m.ReadFile(t, seen)
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("install %s: %q is missing on stderr when the program starts:\n%s", flags, w, got)
				}
			}
			if len(want) == 0 && strings.Contains(got, "probe:") {
				t.Errorf("install %s: the program was probed, want no probe:\n%s", flags, got)
			}
		}
		const what = "probe: running " + program + " 'a b' once to see what it listens on, as user root, for at most "
		install("", what+"1m00s", "this is a real run", "--no-listen for a program without a port, or --no-probe with --listen PORT")
		install("--listen 8172 --probe-timeout 20s", what+"20s", "to avoid it: --no-probe\n",
			"probed is already running (2 instances); this is one more run")
		if units := m.Sh(t, "ls -A /run/systemd/units | grep -e --probe- || true"); units != "" {
			t.Errorf("units of the probe still exist:\n%s", units)
		}
		install("--listen 0.0.0.0:8172 --no-probe --env CHANGED=1")
	})
}
