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

// writeTwoApps writes a clusterctl.yaml with two apps. The parameters first and second are the commands of the apps, as
// elements of a YAML list.
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

// twoDir is the directory of the clusterctl.yaml with two apps.
const twoDir = "/opt/e2e/two"

// TestApply applies several versions of a file: with a new app, with a changed app, and with a broken app. The test
// checks the output of apply and diff.
func TestApply(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		one := kit.App{Machine: m, Name: "update-one", Instances: 2, Port: 8620}
		other := kit.App{Machine: m, Name: "update-two", Instances: 2, Port: 8621}
		t.Cleanup(func() { one.Uninstall(t); other.Uninstall(t) })
		must := func(args ...string) lab.Result {
			t.Helper()
			r := m.ClusterctlIn(t, twoDir, args...)
			if r.Code != done {
				t.Fatalf("%q: %v", args, r)
			}
			return r
		}
		writeTwoApps(t, m, worker, worker)
		before := kit.Lines(m.Sh(t, traces))
		if r := must("apply", "--dry-run"); !strings.Contains(r.Stdout, "+++ /etc/systemd/system/update-one@.service\n") ||
			!strings.Contains(r.Stdout, "--- /dev/null\n") {
			t.Errorf("clusterctl apply --dry-run of new apps does not print the new unit files: %v", r)
		}
		wantUntouched(t, m, before)
		// Install the second app with install, and then the first app with apply. clusterctl apply must not change the
		// second app.
		must("install", "update-two")
		pids := other.PIDs(t)
		if r := must("apply"); r.Stdout != "update-one: created, 2 started\nupdate-two: unchanged, 2/2 ready\n" {
			t.Errorf("clusterctl apply: want update-one created and update-two unchanged: %v", r)
		}
		one.WantUp(t)
		if r := must("diff"); r.Stdout != "" {
			t.Errorf("clusterctl diff after an apply: want no changes: %v", r)
		}
		if r := must("diff", "--all", "--exit-code"); strings.Contains(r.Stdout, "update-") {
			t.Errorf("clusterctl diff --all after an apply: want no changes: %v", r)
		}

		writeTwoApps(t, m, worker+", new", worker)
		if r := m.ClusterctlIn(t, twoDir, "diff", "--exit-code", "update-one"); r.Code != failed || r.Stderr != "" ||
			!strings.Contains(r.Stdout, "\n+  - new\n") {
			t.Errorf("clusterctl diff --exit-code of a changed app: want exit status %d and the new argument: %v", failed, r)
		}
		if r := must("diff", "update-two"); r.Stdout != "" {
			t.Errorf("clusterctl diff of an unchanged app: want no output: %v", r)
		}
		if r := must("apply", "--json"); actions(t, r.Stdout) != "update-one updated, update-two unchanged" {
			t.Errorf("clusterctl apply: want update-one updated and update-two unchanged: %v", r)
		}
		kit.WantNotReplaced(t, pids, other.PIDs(t))

		// The program of the first app cannot run. clusterctl apply must report this app as failed and update the second
		// app.
		writeTwoApps(t, m, "/bin/false", worker+", new")
		r := m.ClusterctlIn(t, twoDir, "apply", "--json")
		if r.Code != notReached || actions(t, r.Stdout) != "update-one failed, update-two updated" {
			t.Errorf("clusterctl apply: want exit status %d, update-one failed and update-two updated: %v", notReached, r)
		}
		wantError(t, r.Stderr, "update-one: update-one@1")
		one.WantUp(t)
		other.WantUp(t)
	})
}

// The function actions returns the name and the action of each app in the output of apply --json, as "NAME ACTION, NAME
// ACTION".
func actions(t testing.TB, stdout string) string {
	t.Helper()
	var result struct {
		Schema int
		Apps   []struct{ Name, Action string }
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || result.Schema != 1 {
		t.Fatalf("clusterctl apply --json: want a document with schema 1: %v:\n%s", err, stdout)
	}
	var words []string
	for _, a := range result.Apps {
		words = append(words, a.Name+" "+a.Action)
	}
	return strings.Join(words, ", ")
}

// TestTwoAppliesAtOnce runs apply with the same file twice at the same time. The second apply must wait for the lock, and
// must then report that the app is unchanged.
func TestTwoAppliesAtOnce(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-2", 2, 8622, "--ready", "notify", "--", worker)
		m.WriteFile(t, "/opt/e2e/update-2.yaml", describeYAML(a.Name, 2, 8622, worker+", new"), 0o644)
		apply := []string{kit.Ctl, "apply", "-f", "/opt/e2e/update-2.yaml"}
		first, second := m.Start(t, apply...), m.Start(t, apply...)
		r, s := first.Wait(), second.Wait()
		if r.Code != done || s.Code != done {
			t.Errorf("want exit status %d of both commands:\n%v\n%v", done, r, s)
		}
		out := r.Stdout + s.Stdout
		if strings.Count(out, ": updated") != 1 || strings.Count(out, ": unchanged") != 1 {
			t.Errorf("want \": updated\" once and \": unchanged\" once in the output of both commands:\n%v\n%v", r, s)
		}
		a.WantUp(t)
	})
}

// TestRollback runs rollback three times: to the previous revision, back to the newest revision, and to revision 1.
func TestRollback(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-r", 2, 8623, "--env", "RELEASE=1", "--", worker)
		m.Must(t, installArgs(a, 8623, "--env", "RELEASE=2", "--", worker)...)
		m.Must(t, installArgs(a, 8623, "--env", "RELEASE=3", "--drain-timeout", "20s", "--", worker)...)
		wantRelease := func(want string) {
			t.Helper()
			a.WantUp(t)
			if about := m.Get(t, a.URL("/about")); !strings.Contains(about, `"RELEASE=`+want+`"`) {
				t.Errorf("the environment of the worker does not contain RELEASE=%s: %s", want, about)
			}
		}
		wantRelease("3")
		m.Must(t, "rollback", "--settle", "100ms", a.Name)
		wantRelease("2")
		m.Must(t, "rollback", "--settle", "100ms", a.Name)
		wantRelease("3")
		r := m.Must(t, "rollback", "--settle", "100ms", a.Name, "1")
		wantRelease("1")
		if !strings.Contains(r.Stdout, "restored revision 1") {
			t.Errorf("clusterctl rollback does not print that it has restored revision 1: %v", r)
		}
		pids := a.PIDs(t)
		if r := m.Must(t, "rollback", a.Name, "1"); !strings.Contains(r.Stdout, "nothing has changed") || !slices.Equal(a.PIDs(t), pids) {
			t.Errorf("rollback to the current revision: want \"nothing has changed\" and no new processes: %v", r)
		}
		r = m.Must(t, "show", a.Name, "--revisions")
		for i, want := range []string{"env, drain-timeout  clusterctl rollback", "env, drain-timeout  clusterctl rollback",
			"env, drain-timeout  clusterctl rollback", "env, drain-timeout  clusterctl install",
			"env                 clusterctl install"} {
			if all := kit.Lines(r.Stdout); len(all) != 6 || !strings.Contains(all[i+1], want) {
				t.Errorf("clusterctl show --revisions: want 6 lines, and %q in line %d:\n%s", want, i+1, r.Stdout)
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
			t.Errorf("clusterctl show --json --revisions: want 5 revisions with revision 1 at the end: %v, %+v", err, listed)
		}
		if r := m.Clusterctl(t, "rollback", a.Name, "9"); r.Code != failed ||
			!strings.Contains(r.Stderr, hint+"the app has revisions 1 to 5") {
			t.Errorf("rollback to a missing revision: want exit status %d and a hint: %v", failed, r)
		}
	})
}

// TestUpdateKeepsEditedUnits updates an app whose unit was edited by hand. Without --force, the update must fail. With
// --force, the update must overwrite the unit and save a copy of the edited unit. A drop-in must remain in effect after
// each update.
func TestUpdateKeepsEditedUnits(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-e", 1, 8624, "--", worker)
		m.Sh(t, "mkdir -p /etc/systemd/system/update-e@.service.d && printf '[Service]\\nNice=3\\n' > "+
			"/etc/systemd/system/update-e@.service.d/override.conf")
		m.Sh(t, "echo OOMScoreAdjust=7 >> /etc/systemd/system/update-e@.service; systemctl daemon-reload")
		before, pids := fileContents(t, a), a.PIDs(t)
		r := m.Clusterctl(t, installArgs(a, 8624, "--env", "A=1", "--", worker)...)
		if r.Code != failed {
			t.Errorf("an update of an edited unit without --force: got exit status %d, want %d: %v", r.Code, failed, r)
		}
		wantError(t, r.Stderr, "update-e@.service", "edited by hand", hint, "systemctl edit update-e@.service", "--force")
		if now := fileContents(t, a); now != before || !slices.Equal(a.PIDs(t), pids) {
			t.Errorf("the refused update has changed files or processes; the files were\n%s\nand are\n%s", before, now)
		}
		if r := m.Must(t, "diff", a.Name); !strings.Contains(r.Stdout, "\n-OOMScoreAdjust=7\n") {
			t.Errorf("clusterctl diff does not print the added line of the edited unit: %v", r)
		}
		r = m.Must(t, installArgs(a, 8624, "--env", "A=1", "--force", "--", worker)...)
		saved := ""
		for _, word := range strings.Fields(r.Stderr) {
			if strings.Contains(word, "/revisions/") {
				saved = word
			}
		}
		if saved == "" || !strings.Contains(m.ReadFile(t, saved), "OOMScoreAdjust=7") {
			t.Errorf("the update with --force has not saved the edited unit: %v", r)
		}
		if strings.Contains(m.ReadFile(t, "/etc/systemd/system/update-e@.service"), "OOMScoreAdjust") {
			t.Error("the unit still contains OOMScoreAdjust after an update with --force")
		}
		if nice := strings.TrimSpace(m.Sh(t, "systemctl show -p Nice --value "+a.Unit(1)+"; ps -o ni= -p "+
			m.Sh(t, "systemctl show -p MainPID --value "+a.Unit(1)))); strings.Join(strings.Fields(nice), " ") != "3 3" {
			t.Errorf("Nice= of the unit and the nice value of the process are %q, want 3 for both, as in the drop-in", nice)
		}
		a.WantUp(t)
		m.Sh(t, "rm -r /etc/systemd/system/update-e@.service.d; systemctl daemon-reload")
	})
}
