//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestEnvMatchesProcess checks that clusterctl env prints the values of variables in the environment of the process. The
// shim overrides some of these variables.
func TestEnvMatchesProcess(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "words", 2, 8137, "--env", "INSTANCE=7", "--env", "NODE_APP_INSTANCE=8",
			"--increment", "METRICS=9100", "--env", "A=b", "--", worker)
		const names = " | grep -E '^(INSTANCE|NODE_APP_INSTANCE|METRICS|A)=' | sort"
		for _, i := range []string{"words@1", "words@2"} {
			unit, process := m.Sh(t, kit.Ctl+" env "+i+names), m.Sh(t, kit.Ctl+" env --running "+i+names)
			if unit != process || len(kit.Lines(unit)) != 4 {
				t.Errorf("%s: env prints\n%s\nwant the four variables of the process:\n%s", i, unit, process)
			}
		}

		// A command must exit with status 0 if the reader of its stdout has closed the pipe.
		for _, args := range []string{"ls", "show words", "env words", "cat words", "generate x --no-listen -- /bin/true"} {
			if r := m.Try("{ " + kit.Ctl + " " + args + "; echo $? >&2; } | true"); r.Stderr != "0\n" {
				t.Errorf("%s with a closed pipe as stdout: want exit status 0: %v", args, r)
			}
		}

		// An install of an absolute path must succeed although the current directory was removed.
		m.Sh(t, "mkdir /run/gone-dir; cp "+worker+" /srv/full-path; chmod 755 /srv/full-path")
		t.Cleanup(func() { kit.App{Machine: m, Name: "full-path"}.Uninstall(t); m.Sh(t, "rm -f /srv/full-path") })
		r := m.Try("cd /run/gone-dir && rmdir /run/gone-dir && " + kit.Ctl +
			" install /srv/full-path --listen 8138 --activation native --settle 100ms")
		if r.Code != 0 {
			t.Errorf("install in a removed directory: %v", r)
		}
		r = m.Must(t, "generate", "x", "--no-listen", "--", "/bin/true")
		if !slices.Contains(strings.Split(r.Stdout, "\n"), "Wants=x@1.service") {
			t.Errorf("generate: the line Wants=x@1.service is missing: %v", r)
		}
	})
}
