//go:build lab

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// writeTwoApps writes a configuration file with two apps.
func writeTwoApps(t testing.TB, m *kit.Machine, first, second string) {
	t.Helper()
	m.WriteFile(t, twoDir+"/clusterctl.yaml", `
x-base: &base
  activation: native
  ready: notify
  instances: 2
apps:
  update-one:
    <<: *base
    command: [`+first+`]
    listen: 8620
  update-two:
    <<: *base
    command: [`+second+`]
    listen: 8621
`, 0o644)
}

// twoDir is the directory of the configuration file with two apps.
const twoDir = "/opt/e2e/two"

// TestApply applies several versions of a file: with new apps, with a changed app, and with a broken app. It checks apply
// and diff for each.
func TestApply(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		one := kit.App{Machine: m, Name: "update-one", Instances: 2, Port: 8620}
		other := kit.App{Machine: m, Name: "update-two", Instances: 2, Port: 8621}
		t.Cleanup(func() { one.Uninstall(t); other.Uninstall(t) })
		ok := func(args ...string) lab.Result {
			t.Helper()
			r := m.ClusterctlIn(t, twoDir, args...)
			if r.Code != done {
				t.Fatalf("%q: %v", args, r)
			}
			return r
		}
		writeTwoApps(t, m, worker, worker)
		before := kit.Lines(m.Sh(t, traces))
		if r := ok("apply", "--dry-run"); !strings.Contains(r.Stdout, "+++ /etc/systemd/system/update-one@.service\n") ||
			!strings.Contains(r.Stdout, "--- /dev/null\n") {
			t.Errorf("the dry run for new apps: %v", r)
		}
		wantUntouched(t, m, before)
		// Install one app first, and then the other one with apply. Apply must not change the first one.
		ok("install", "update-two")
		pids := other.PIDs(t)
		if r := ok("apply"); r.Stdout != "update-one: created, 2 started\nupdate-two: unchanged, 2/2 ready\n" {
			t.Errorf("apply: %v", r)
		}
		one.WantUp(t)
		if r := ok("diff"); r.Stdout != "" {
			t.Errorf("diff reports a change after apply: %v", r)
		}
		if r := ok("diff", "--all", "--exit-code"); strings.Contains(r.Stdout, "update-") {
			t.Errorf("diff --all reports a change after apply: %v", r)
		}

		writeTwoApps(t, m, worker+", new", worker)
		if r := m.ClusterctlIn(t, twoDir, "diff", "--exit-code", "update-one"); r.Code != failed || r.Stderr != "" ||
			!strings.Contains(r.Stdout, "\n+  - new\n") {
			t.Errorf("diff of a changed app: %v", r)
		}
		if r := ok("diff", "update-two"); r.Stdout != "" {
			t.Errorf("diff of an unchanged app: %v", r)
		}
		if r := ok("apply", "--json"); actions(t, r.Stdout) != "update-one updated, update-two unchanged" {
			t.Errorf("apply: %v", r)
		}
		if now := other.PIDs(t); !slices.Equal(now, pids) {
			t.Errorf("instances of the unchanged app were replaced: %v, then %v", pids, now)
		}

		// The first app does not come up, but the second one is updated.
		writeTwoApps(t, m, "/bin/false", worker+", new")
		r := m.ClusterctlIn(t, twoDir, "apply", "--json")
		if r.Code != notReached || actions(t, r.Stdout) != "update-one failed, update-two updated" {
			t.Errorf("apply: %v", r)
		}
		wantError(t, r.Stderr, "update-one: update-one@1")
		one.WantUp(t)
		other.WantUp(t)
	})
}

// actions returns what an apply did, from its output with --json.
func actions(t testing.TB, stdout string) string {
	t.Helper()
	var result struct {
		Schema int
		Apps   []struct{ Name, Action string }
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || result.Schema != 1 {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	var words []string
	for _, a := range result.Apps {
		words = append(words, a.Name+" "+a.Action)
	}
	return strings.Join(words, ", ")
}

// TestTwoAppliesAtOnce: the second apply waits for the lock, and then finds nothing left to do.
func TestTwoAppliesAtOnce(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-2", 2, 8622, "--ready", "notify", "--", worker)
		m.WriteFile(t, "/opt/e2e/update-2.yaml", describeYAML(a.Name, 2, 8622, worker+", new"), 0o644)
		apply := []string{kit.Ctl, "apply", "-f", "/opt/e2e/update-2.yaml"}
		first, second := m.Start(t, apply...), m.Start(t, apply...)
		r, s := first.Wait(), second.Wait()
		if r.Code != done || s.Code != done {
			t.Errorf("the first: %v\nthe second: %v", r, s)
		}
		said := r.Stdout + s.Stdout
		if strings.Count(said, ": updated") != 1 || strings.Count(said, ": unchanged") != 1 {
			t.Errorf("the first: %v\nthe second: %v", r, s)
		}
		a.WantUp(t)
	})
}

// TestRollback goes back to the previous revision, forward again, and to the first revision.
func TestRollback(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-r", 2, 8623, "--env", "RELEASE=1", "--", worker)
		m.Must(t, installArgs(a, 8623, "--env", "RELEASE=2", "--", worker)...)
		m.Must(t, installArgs(a, 8623, "--env", "RELEASE=3", "--drain-timeout", "20s", "--", worker)...)
		release := func(want string) {
			t.Helper()
			a.WantUp(t)
			if about := m.Get(t, a.URL("/about")); !strings.Contains(about, `"RELEASE=`+want+`"`) {
				t.Errorf("want release %s: %s", want, about)
			}
		}
		release("3")
		m.Must(t, "rollback", "--settle", "100ms", a.Name)
		release("2")
		m.Must(t, "rollback", "--settle", "100ms", a.Name)
		release("3")
		r := m.Must(t, "rollback", "--settle", "100ms", a.Name, "1")
		release("1")
		if !strings.Contains(r.Stdout, "restored revision 1") {
			t.Errorf("rollback: %v", r)
		}
		pids := a.PIDs(t)
		if r := m.Must(t, "rollback", a.Name, "1"); !strings.Contains(r.Stdout, "nothing has changed") || !slices.Equal(a.PIDs(t), pids) {
			t.Errorf("rollback to the current revision: %v", r)
		}
		r = m.Must(t, "show", a.Name, "--revisions")
		for i, want := range []string{"env, drain-timeout  clusterctl rollback", "env, drain-timeout  clusterctl rollback",
			"env, drain-timeout  clusterctl rollback", "env, drain-timeout  clusterctl install",
			"env                 clusterctl install"} {
			if all := kit.Lines(r.Stdout); len(all) != 6 || !strings.Contains(all[i+1], want) {
				t.Errorf("revisions: want %q in line %d:\n%s", want, i+1, r.Stdout)
			}
		}
		var listed struct {
			Schema    int
			App       string
			Revisions []struct {
				Number    int
				By, Until string
				Changed   []string
			}
		}
		if err := json.Unmarshal([]byte(m.Must(t, "show", "--json", "--revisions", a.Name).Stdout), &listed); err != nil ||
			len(listed.Revisions) != 5 || listed.Revisions[4].Number != 1 {
			t.Errorf("revisions: %v, %+v", err, listed)
		}
		if r := m.Clusterctl(t, "rollback", a.Name, "9"); r.Code != failed ||
			!strings.Contains(r.Stderr, hint+"the app has revisions 1 to 5") {
			t.Errorf("rollback to a revision that does not exist: %v", r)
		}
	})
}

// TestUpdateKeepsEditedUnits: an update overwrites a unit that was edited by hand only with --force, and then keeps a copy
// of the edited unit. A drop-in stays in effect after every update.
func TestUpdateKeepsEditedUnits(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-e", 1, 8624, "--", worker)
		m.Sh(t, "mkdir -p /etc/systemd/system/update-e@.service.d && printf '[Service]\\nNice=3\\n' > "+
			"/etc/systemd/system/update-e@.service.d/override.conf")
		m.Sh(t, "echo OOMScoreAdjust=7 >> /etc/systemd/system/update-e@.service; systemctl daemon-reload")
		before, pids := fileContents(t, a), a.PIDs(t)
		r := m.Clusterctl(t, installArgs(a, 8624, "--env", "A=1", "--", worker)...)
		if r.Code != failed {
			t.Errorf("want exit status %d: %v", failed, r)
		}
		wantError(t, r.Stderr, "update-e@.service", "edited by hand", hint, "systemctl edit update-e@.service", "--force")
		if now := fileContents(t, a); now != before || !slices.Equal(a.PIDs(t), pids) {
			t.Errorf("the refused update has changed files:\n%s\n%s", before, now)
		}
		if r := m.Must(t, "diff", a.Name); !strings.Contains(r.Stdout, "\n-OOMScoreAdjust=7\n") {
			t.Errorf("diff of the edited unit: %v", r)
		}
		r = m.Must(t, installArgs(a, 8624, "--env", "A=1", "--force", "--", worker)...)
		kept := ""
		for _, word := range strings.Fields(r.Stderr) {
			if strings.Contains(word, "/revisions/") {
				kept = word
			}
		}
		if kept == "" || !strings.Contains(m.ReadFile(t, kept), "OOMScoreAdjust=7") {
			t.Errorf("the edited unit was not kept: %v", r)
		}
		if strings.Contains(m.ReadFile(t, "/etc/systemd/system/update-e@.service"), "OOMScoreAdjust") {
			t.Error("--force has not overwritten the unit")
		}
		if nice := strings.TrimSpace(m.Sh(t, "systemctl show -p Nice --value "+a.Unit(1)+"; ps -o ni= -p "+
			m.Sh(t, "systemctl show -p MainPID --value "+a.Unit(1)))); strings.Join(strings.Fields(nice), " ") != "3 3" {
			t.Errorf("the drop-in has no effect: %q", nice)
		}
		a.WantUp(t)
		m.Sh(t, "rm -r /etc/systemd/system/update-e@.service.d; systemctl daemon-reload")
	})
}
