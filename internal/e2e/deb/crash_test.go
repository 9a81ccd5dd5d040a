//go:build lab

package deb

import (
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// TestPackageOfACrashLoop installs packages of an app whose two instances crash, at the same time or one after another.
// dpkg must fail and must not wait forever. The test runs first without the shim on the machine, and then with the shim.
func TestPackageOfACrashLoop(t *testing.T) {
	p := daemonProject(t, "looper", "DIR/data")
	p.yaml = strings.Replace(p.yaml, "instances: 1\n", "instances: 2\nready: notify\nstart-timeout: 5s\n", 1)
	var debs []string
	for i, program := range []string{"exit 1\n", "sleep 0.$((INSTANCE * 2))\nexit 1\n"} {
		p.write(t, "run.sh", "#!/bin/sh\n"+program, 0o755)
		debs = append(debs, p.version(t, []string{"1.0", "2.0"}[i]))
	}
	onReleases(t, func(t *testing.T, m *kit.Machine) {
		for i, deb := range append(debs, debs...) {
			if i == len(debs) {
				m.CopyIn(t, lab.Build(t, "./cmd/clusterctl-shim"), kit.Shim)
			}
			file := copyIn(t, m, deb)
			ctx, cancel := patience.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			r := m.Run(ctx, "dpkg", "-i", file)
			if r.Code <= 0 || !strings.Contains(r.Stdout+r.Stderr, "looper: ") {
				t.Errorf("dpkg -i of an app in a crash loop: want an error of looper: %v", r)
			}
			dpkg(t, m, "-P --force-remove-reinstreq looper")
		}
	})
}
