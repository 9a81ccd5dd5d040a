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

// failingPrograms lists programs that cannot run or do not become ready. The field want is a part of the expected error.
var failingPrograms = []struct{ path, script, want string }{
	{"/opt/e2e/update-exits", "#!/bin/sh\necho broken release\nexit 3\n", "broken release"},
	{"/opt/e2e/update-silent", "#!/bin/sh\necho never listens\nexec sleep 1000\n", "READY=1"},
	// This program stops itself with SIGTERM after 300 ms, so it finishes its requests before it exits.
	{"/opt/e2e/update-dies", "#!/bin/sh\n(sleep 0.3; kill $$) &\nexec " + worker + "\n", "update-b@"},
}

// describeYAML returns a clusterctl.yaml with one app. The parameter extraLines contains additional lines.
func describeYAML(name string, n, port int, command string, extraLines ...string) string {
	return fmt.Sprintf("name: %s\ncommand: [%s]\nlisten: [%d]\nactivation: native\nready: notify\nrun-as: dynamic\ninstances: %d\n%s\n",
		name, command, port, n, strings.Join(extraLines, "\n"))
}

// TestUpdateToBrokenRelease updates an app under load to programs that fail, with install and with apply. Each update
// must be rolled back: the files must be unchanged, and only the first instance may have a new process. No request may
// fail.
func TestUpdateToBrokenRelease(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-b", 3, 8605, "--ready", "notify", "--", worker)
		load := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		for _, r := range failingPrograms {
			m.WriteFile(t, r.path, r.script, 0o755)
			for _, verb := range []string{"install", "apply"} {
				before, pids := fileContents(t, a), a.PIDs(t)
				// --settle 1s is too short on a busy machine: the update could succeed before the program exits after 300
				// ms.
				settle, start := patience.For(5*time.Second).String(), patience.For(3*time.Second).String()
				args := installArgs(a, 8605, "--settle", settle, "--ready", "notify", "--start-timeout", start, "--", r.path)
				if verb == "apply" {
					m.WriteFile(t, "/opt/e2e/update-b.yaml", describeYAML(a.Name, 3, 8605, r.path, "start-timeout: "+start), 0o644)
					args = []string{"apply", "-f", "/opt/e2e/update-b.yaml", "--settle", settle, "--json"}
				}
				got := m.Clusterctl(t, args...)
				if got.Code != notReached {
					t.Errorf("%s of %s: got exit status %d, want %d: %v", verb, r.path, got.Code, notReached, got)
				}
				wantError(t, got.Stderr, "update-b@1", r.want)
				if verb == "apply" {
					wantFailed(t, got.Stdout, a.Unit(1))
				}
				if now := fileContents(t, a); now != before {
					t.Errorf("%s of %s: the files were\n%s\nand are\n%s", verb, r.path, before, now)
				}
				wantNoDaemonReload(t, a)
				if now := a.PIDs(t); !slices.Equal(now[1:], pids[1:]) || now[0] == pids[0] {
					t.Errorf("%s of %s: want a new process only of instance 1: the PIDs were %v, and are %v",
						verb, r.path, pids, now)
				}
				m.WantState(t, "active", append(a.Units(), a.Service(), a.Socket())...)
				if t.Failed() {
					t.Fatalf("the result of %s: %v", verb, got)
				}
			}
		}
		kit.WantNoneLost(t, "updates to failing programs", load.Stop())
		a.WantUp(t)
		if files := m.Sh(t, "ls /var/lib/clusterctl/"+a.Name+" 2>/dev/null || true"); files != "" {
			t.Errorf("/var/lib/clusterctl/%s contains files of the failed updates: %s", a.Name, files)
		}
	})
}

// wantFailed fails the test unless the output of apply --json reports one failed app, in which only the instance unit has
// failed.
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
		t.Fatalf("clusterctl apply --json: %v:\n%s", err, stdout)
	}
	if len(result.Apps) != 1 || result.Apps[0].Action != "failed" || result.Apps[0].Error == "" || len(result.Apps[0].Changed) == 0 {
		t.Fatalf("clusterctl apply --json: want one failed app with an error and changes: %s", stdout)
	}
	for _, i := range result.Apps[0].Instances {
		if want := map[bool]string{true: "failed", false: "untouched"}[i.Unit == unit]; i.Outcome != want {
			t.Errorf("clusterctl apply --json: the outcome of %s is %s, want %s: %s", i.Unit, i.Outcome, want, stdout)
		}
	}
}

// TestUpdateInterrupted sends SIGINT to an update while the first instance is starting. The update must be rolled back.
func TestUpdateInterrupted(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-int", 2, 8606, "--ready", "notify", "--", worker)
		m.WriteFile(t, neverReady, "#!/bin/sh\nexec sleep infinity\n", 0o755)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: 200})
		before, pids := fileContents(t, a), a.PIDs(t)
		p := m.Start(t, append([]string{kit.Ctl}, installArgs(a, 8606, "--ready", "notify", "--", neverReady)...)...)
		kit.DialBus(t, m).Await(t, "the first instance is starting",
			func(s kit.Status) bool { return s.Active == "activating" && s.PID != 0 && int(s.PID) != pids[0] }, a.Unit(1))
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		r := p.Wait()
		if r.Code != interrupted {
			t.Errorf("the interrupted update: got exit status %d, want %d: %v", r.Code, interrupted, r)
		}
		if now := fileContents(t, a); now != before {
			t.Errorf("the files were\n%s\nand are\n%s", before, now)
		}
		if now := a.PIDs(t); now[1] != pids[1] {
			t.Errorf("want the same process of instance 2: the PIDs were %v, and are %v", pids, now)
		}
		wantNoDaemonReload(t, a)
		a.WantUp(t)
		kit.WantNoneLost(t, "an interrupted update", run.Stop())
	})
}
