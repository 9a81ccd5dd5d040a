//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// releases lists programs that do not come up, with a part of the expected error.
var releases = []struct{ path, script, want string }{
	{"/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", "broken release"},
	{"/opt/e2e/update-silent", "#!/bin/sh\necho never listens\nexec sleep 1000\n", "READY=1"},
	// This program serves, and exits like after a stop signal, so that it loses no request.
	{"/opt/e2e/update-dies", "#!/bin/sh\n(sleep 0.3; kill $$) &\nexec " + worker + "\n", "update-b@"},
}

// describeYAML returns the configuration of an app as YAML.
func describeYAML(name string, n, port int, command string, more ...string) string {
	return fmt.Sprintf("name: %s\ncommand: [%s]\nlisten: [%d]\nactivation: native\nready: notify\nrun-as: dynamic\ninstances: %d\n%s\n",
		name, command, port, n, strings.Join(more, "\n"))
}

// TestUpdateToBrokenRelease updates an app under load to releases that do not come up, with install and with apply. The
// files and systemd must be unchanged afterwards, only the first instance may have been replaced, and no request may fail.
func TestUpdateToBrokenRelease(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-b", 3, 8605, "--ready", "notify", "--", worker)
		load := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		for _, r := range releases {
			m.WriteFile(t, r.path, r.script, 0o755)
			for _, verb := range []string{"install", "apply"} {
				before, pids := fileContents(t, a), a.PIDs(t)
				// One second is too short to see the exit of a worker after 300 ms while eight tests run at a time.
				settle, start := patience.For(5*time.Second).String(), patience.For(3*time.Second).String()
				args := installArgs(a, 8605, "--settle", settle, "--ready", "notify", "--start-timeout", start, "--", r.path)
				if verb == "apply" {
					m.WriteFile(t, "/opt/e2e/update-b.yaml", describeYAML(a.Name, 3, 8605, r.path, "start-timeout: "+start), 0o644)
					args = []string{"apply", "-f", "/opt/e2e/update-b.yaml", "--settle", settle, "--json"}
				}
				got := m.Clusterctl(t, args...)
				if got.Code != notReached {
					t.Errorf("%s to %s: want exit status %d: %v", verb, r.path, notReached, got)
				}
				wantError(t, got.Stderr, "update-b@1", r.want)
				if verb == "apply" {
					wantFailed(t, got.Stdout, a.Unit(1))
				}
				if now := fileContents(t, a); now != before {
					t.Errorf("%s to %s: the files have changed:\n%s\n%s", verb, r.path, before, now)
				}
				wantRead(t, a)
				if now := a.PIDs(t); !slices.Equal(now[1:], pids[1:]) || now[0] == pids[0] {
					t.Errorf("%s to %s: instances were replaced: PIDs %v, then %v", verb, r.path, pids, now)
				}
				m.WantState(t, "active", append(a.Units(), a.Service(), a.Socket())...)
				if t.Failed() {
					t.Fatal(got)
				}
			}
		}
		kit.WantNoneLost(t, "updates to broken releases", load.Stop())
		a.WantUp(t)
		if left := m.Sh(t, "ls /var/lib/clusterctl/"+a.Name+" 2>/dev/null || true"); left != "" {
			t.Errorf("files of updates that were rolled back are left: %s", left)
		}
	})
}

// wantFailed fails the test unless the JSON of an apply reports that the only app failed and was rolled back.
func wantFailed(t testing.TB, stdout, unit string) {
	t.Helper()
	var result struct {
		Schema int
		Apps   []struct {
			App, Action, Error string
			Changed            []string
			Instances          []struct{ Unit, Outcome, Reason string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	if len(result.Apps) != 1 || result.Apps[0].Action != "failed" || result.Apps[0].Error == "" || len(result.Apps[0].Changed) == 0 {
		t.Fatalf("the result: %s", stdout)
	}
	for _, i := range result.Apps[0].Instances {
		if want := map[bool]string{true: "failed", false: "untouched"}[i.Unit == unit]; i.Outcome != want {
			t.Errorf("%s is %s, want %s: %s", i.Unit, i.Outcome, want, stdout)
		}
	}
}

// TestUpdateInterrupted interrupts an update while its first instance starts. The update must be rolled back.
func TestUpdateInterrupted(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-int", 2, 8606, "--ready", "notify", "--", worker)
		m.WriteFile(t, silent, "#!/bin/sh\nexec sleep infinity\n", 0o755)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: 200})
		before, pids := fileContents(t, a), a.PIDs(t)
		p := m.Start(t, append([]string{kit.Ctl}, installArgs(a, 8606, "--ready", "notify", "--", silent)...)...)
		kit.DialBus(t, m).Await(t, "the first instance starts",
			func(s kit.Status) bool { return s.Active == "activating" && s.PID != 0 && int(s.PID) != pids[0] }, a.Unit(1))
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		r := p.Wait()
		if r.Code != interrupted {
			t.Errorf("want exit status %d: %v", interrupted, r)
		}
		if now := fileContents(t, a); now != before {
			t.Errorf("the files have changed:\n%s\n%s", before, now)
		}
		if now := a.PIDs(t); now[1] != pids[1] {
			t.Errorf("the second instance was replaced: %v, then %v", pids, now)
		}
		wantRead(t, a)
		a.WantUp(t)
		kit.WantNoneLost(t, "updates to broken releases", run.Stop())
	})
}
