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

// TestInstallOfUnchangedApp repeats install and apply without a change of the app. Both commands must print the number of
// ready instances and must not restart an instance. If the instances are in a crash loop, both commands must fail.
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
		wantStdout := func(text string, args ...string) lab.Result {
			t.Helper()
			r := m.Must(t, args...)
			if r.Stdout != text {
				t.Errorf("%q: want %q on stdout: %v", args, text, r)
			}
			kit.WantNotReplaced(t, pids, a.PIDs(t))
			return r
		}
		wantStdout("stands: nothing has changed, 2/2 ready\n", install...)
		if r := wantStdout("stands: unchanged, 2/2 ready\n", apply...); r.Stderr != "" {
			t.Errorf("clusterctl apply of an unchanged app: want an empty stderr: %v", r)
		}

		// The environment file has changed since the start of the instances.
		m.Sh(t, "echo B=2 >>"+vars)
		const newer = "stands: /srv/stands/my.env has changed since the app started: sudo clusterctl reload stands\n"
		for _, args := range [][]string{install, apply} {
			if r := m.Must(t, args...); r.Stderr != newer {
				t.Errorf("%q after a change of the environment file: want %q on stderr: %v", args, newer, r)
			}
		}
		r := m.Must(t, append(apply, "--json")...)
		if !strings.Contains(r.Stdout, `"newerFiles": [`) {
			t.Errorf("clusterctl apply --json after a change of the environment file: newerFiles is missing: %v", r)
		}
		if err := outputschema.Check("apply", []byte(r.Stdout)); err != nil {
			t.Error(err)
		}
		m.Must(t, "reload", "stands", "--settle", "100ms")
		pids = a.PIDs(t)
		if r := wantStdout("stands: unchanged, 2/2 ready\n", apply...); r.Stderr != "" {
			t.Errorf("clusterctl apply after a reload: want an empty stderr: %v", r)
		}

		// One instance is stopped. clusterctl apply must report the stopped instance. clusterctl install must start the
		// stopped instance.
		m.Sh(t, "systemctl stop stands@2")
		if r := m.Clusterctl(t, apply...); r.Code != notReached || !strings.Contains(r.Stdout, "1/2 ready") {
			t.Errorf("clusterctl apply with a stopped instance: want exit status %d and 1/2 ready: %v", notReached, r)
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

// wantCrashLoopReported runs install and apply while the app is in a crash loop, and fails the test unless both commands
// fail, print the last log line of the program, and show 0 of 2 ready instances in their JSON.
func wantCrashLoopReported(t *testing.T, m *kit.Machine, install, apply []string) {
	t.Helper()
	for _, args := range [][]string{install, apply} {
		r := m.Clusterctl(t, args...)
		if r.Code != notReached {
			t.Errorf("%q in a crash loop: got exit status %d, want %d: %v", args, r.Code, notReached, r)
		}
		wantError(t, r.Stderr, "status=7", "the disk is on fire",
			hint+"clusterctl logs stands; when the program is repaired: sudo clusterctl reload stands")
	}
	for kind, args := range map[string][]string{"show": append([]string{"install", "--json"}, install[1:]...),
		"apply": append(apply, "--json")} {
		r := m.Clusterctl(t, args...)
		if r.Code != notReached {
			t.Errorf("%q in a crash loop: got exit status %d, want %d: %v", args, r.Code, notReached, r)
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
			t.Errorf("%q in a crash loop: got %d of %d ready, want 0 of 2: %v", args, doc.Ready, doc.Wanted, r)
		}
		if err := outputschema.Check(kind, []byte(r.Stdout)); err != nil {
			t.Error(err)
		}
	}
}
