//go:build lab

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/outputschema"
)

// TestInstallOfUnchangedApp: install and apply of an unchanged app print its state, and fail when it does not run.
func TestInstallOfUnchangedApp(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const script, broken, vars, file = "/srv/stands/run.sh", "/srv/stands/broken", "/srv/stands/my.env", "/srv/stands/clusterctl.yaml"
		m.WriteFile(t, script, "#!/bin/sh\ntest -e "+broken+" && { echo the disk is on fire; exit 7; }\nexec "+worker+"\n", 0o755)
		m.WriteFile(t, vars, "A=1\n", 0o644)
		m.WriteFile(t, file, "name: stands\ncommand: ["+script+
			"]\ndirectory: /srv/stands\nlisten: 8136\nactivation: native\nready: notify\ninstances: 2\nenv-files: ["+vars+"]\n", 0o644)
		a := kit.App{Machine: m, Name: "stands", Instances: 2, Port: 8136}
		t.Cleanup(func() { a.Uninstall(t); m.Sh(t, "rm -r /srv/stands") })
		install := []string{
			"install", "stands", "-i", "2", "--listen", "8136", "--activation", "native", "--ready", "notify", "--cwd", "/srv/stands",
			"--env-file", vars, "--settle", "200ms", "--", script,
		}
		apply := []string{"apply", "-f", file, "--settle", "200ms"}
		m.Must(t, install...)
		pids := a.PIDs(t)
		want := func(said string, args ...string) lab.Result {
			t.Helper()
			r := m.Must(t, args...)
			if r.Stdout != said {
				t.Errorf("%q: %v\nwant %q", args, r, said)
			}
			kit.WantNotReplaced(t, pids, a.PIDs(t))
			return r
		}
		want("stands: nothing has changed, 2/2 ready\n", install...)
		if r := want("stands: unchanged, 2/2 ready\n", apply...); r.Stderr != "" {
			t.Errorf("apply of an unchanged app writes to stderr: %v", r)
		}

		// A file has changed that is read at each start.
		m.Sh(t, "echo B=2 >>"+vars)
		const newer = "stands: /srv/stands/my.env has changed since the app started: sudo clusterctl reload stands\n"
		for _, args := range [][]string{install, apply} {
			if r := m.Must(t, args...); r.Stderr != newer {
				t.Errorf("%q: %v", args, r)
			}
		}
		r := m.Must(t, append(apply, "--json")...)
		if !strings.Contains(r.Stdout, `"newerFiles": [`) {
			t.Errorf("--json: %v", r)
		}
		if err := outputschema.Check("apply", []byte(r.Stdout)); err != nil {
			t.Error(err)
		}
		m.Must(t, "reload", "stands", "--settle", "100ms")
		pids = a.PIDs(t)
		if r := want("stands: unchanged, 2/2 ready\n", apply...); r.Stderr != "" {
			t.Errorf("apply writes to stderr after the reload: %v", r)
		}

		// One instance is stopped. An apply reports that, and an install starts the instance.
		m.Sh(t, "systemctl stop stands@2")
		if r := m.Clusterctl(t, apply...); r.Code != notReached || !strings.Contains(r.Stdout, "1/2 ready") {
			t.Errorf("apply with a stopped instance: %v", r)
		} else {
			wantError(t, r.Stderr, "stands: 1/2 ready: stands@2.service is stopped", hint+"sudo clusterctl start stands")
		}
		m.Must(t, install...)
		a.WantUp(t)

		// Both instances are in a crash loop.
		m.Sh(t, "touch "+broken+"; systemctl kill -s KILL stands@1 stands@2")
		m.AwaitJournal(t, "the disk is on fire", "-u", "stands@1")
		wantCrashLoopReported(t, m, install, apply)
		m.Sh(t, "rm "+broken)
		m.Must(t, "reload", "stands", "--settle", "100ms")
		a.WantUp(t)
	})
}

// wantCrashLoopReported fails the test unless an install and an apply of an app in a crash loop fail, with the reason in the
// error and the number of ready instances in the JSON.
func wantCrashLoopReported(t *testing.T, m *kit.Machine, install, apply []string) {
	t.Helper()
	for _, args := range [][]string{install, apply} {
		r := m.Clusterctl(t, args...)
		if r.Code != notReached {
			t.Errorf("%q: %v", args, r)
		}
		wantError(t, r.Stderr, "status=7", "the disk is on fire",
			hint+"clusterctl logs stands; when the program is repaired: sudo clusterctl reload stands")
	}
	for kind, args := range map[string][]string{"show": append([]string{"install", "--json"}, install[1:]...),
		"apply": append(apply, "--json")} {
		r := m.Clusterctl(t, args...)
		if r.Code != notReached {
			t.Errorf("%q: %v", args, r)
		}
		var doc struct {
			Ready, Wanted int
			Apps          []struct{ Ready, Wanted int }
		}
		if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
			t.Errorf("%q: %v\n%v", args, err, r)
		}
		if len(doc.Apps) > 0 {
			doc.Ready, doc.Wanted = doc.Apps[0].Ready, doc.Apps[0].Wanted
		}
		if doc.Ready != 0 || doc.Wanted != 2 {
			t.Errorf("%q: %v", args, r)
		}
		if err := outputschema.Check(kind, []byte(r.Stdout)); err != nil {
			t.Error(err)
		}
	}
}
