//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// TestValuesOfEarlierVersions manages an app of an earlier version. Earlier versions wrote the values of variables into
// the unit files and NAME.yaml. The current version writes the values to NAME.env. A scale must not move the values. An
// install with the same arguments must move the values to NAME.env.
func TestValuesOfEarlierVersions(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "early", 2, 8661, "--run-as", "nobody:nogroup", "--env", "DB_PASSWORD=hunter2",
			"--env", "ODD=a b%$\"", "--", worker)
		writeEarlierFiles(t, a)
		m.Sh(t, "chmod 640 /etc/clusterctl/early.yaml")
		template := m.ReadFile(t, "/etc/systemd/system/early@.service")
		pids := a.PIDs(t)
		r := m.Must(t, "diff", "--all")
		if !strings.Contains(r.Stdout, `-Environment="DB_PASSWORD=********"`) ||
			!strings.Contains(r.Stdout, "+DB_PASSWORD=\"********\"") || strings.Contains(r.Stdout, "hunter2") {
			t.Errorf("clusterctl diff: want a masked value that is removed from the unit and added to the values file: %v", r)
		}
		m.Must(t, "scale", "early", "3")
		a.Instances = 3
		a.WantUp(t)
		kit.WantNotReplaced(t, pids, a.PIDs(t)[:2])
		if now := m.ReadFile(t, "/etc/systemd/system/early@.service"); now != template {
			t.Errorf("clusterctl scale has changed the template unit to:\n%s", now)
		}
		if got := m.Sh(t, "stat -c %a /etc/clusterctl/early.yaml; grep -c hunter2 /etc/clusterctl/early.yaml; "+
			"ls /etc/clusterctl/early.env 2>&1 || true"); got != "640\n1\n"+
			"ls: cannot access '/etc/clusterctl/early.env': No such file or directory" {
			t.Errorf("after a scale: want early.yaml with mode 640 and the value, and no early.env: %s", got)
		}
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"DB_PASSWORD=hunter2"`) ||
			!strings.Contains(about, `"ODD=a b%$\""`) {
			t.Errorf("the worker does not have both variables: %s", about)
		}
		m.Must(t, "scale", "early", "max")
		unit := m.ReadFile(t, "/etc/systemd/system/early@.service")
		if !strings.Contains(unit, "\nConditionCPUs=|>=%i\n") || !strings.Contains(unit, "hunter2") || units.Edited([]byte(unit)) {
			t.Errorf("after scale max: want a template unit with ConditionCPUs=, the value and a valid checksum:\n%s", unit)
		}
		m.Must(t, "scale", "early", "3")
		if now := m.ReadFile(t, "/etc/systemd/system/early@.service"); now != template {
			t.Errorf("after scale max and scale 3: want the original template unit:\n%s", now)
		}
		m.Must(t, "scale", "early", "2")
		m.Must(t, "rollback", "early")
		m.Must(t, "scale", "early", "2")
		a.Instances = 2
		a.WantUp(t)
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"DB_PASSWORD=hunter2"`) {
			t.Errorf("after the rollback: the worker does not have the variable DB_PASSWORD: %s", about)
		}
		m.Must(t, installArgs(a, 8661, "--run-as", "nobody:nogroup", "--env", "DB_PASSWORD=hunter2", "--env", "ODD=a b%$\"",
			"--", worker)...)
		if r := m.Try("grep -rl hunter2 /etc"); r.Stdout != "/etc/clusterctl/early.env\n" {
			t.Errorf("the files %q contain the value, want only /etc/clusterctl/early.env", r.Stdout)
		}
		if r := m.Must(t, "diff", "--all"); strings.Contains(r.Stdout, "early") {
			t.Errorf("clusterctl diff after the install: want no changes: %s", r.Stdout)
		}
	})
}

// TestChangedValueReplacesInstances changes the value of a variable. All instances must be replaced without a
// daemon-reload.
func TestChangedValueReplacesInstances(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "value", 2, 8662, "--env", "A=1", "--env", "B=1", "--", worker)
		before, reloads := a.PIDs(t), daemonReloads(t, m)
		m.Must(t, installArgs(a, 8662, "--env", "A=2", "--env", "B=1", "--", worker)...)
		after := a.PIDs(t)
		kit.WantReplaced(t, before, after)
		if n := daemonReloads(t, m) - reloads; n != 0 {
			t.Errorf("the update needed %d daemon-reloads, want 0", n)
		}
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"A=2"`) || !strings.Contains(about, `"B=1"`) {
			t.Errorf("the worker does not have the variables A=2 and B=1: %s", about)
		}
		if r := m.Must(t, "show", "value", "--revisions"); !strings.Contains(r.Stdout, " env ") || strings.Contains(r.Stdout, "A=2") {
			t.Errorf("clusterctl show --revisions: want \"env\" as the changed key, and not the value: %v", r)
		}
		// If root adds a value to the file, clusterctl reload must use the value, and clusterctl scale must not remove
		// it.
		m.Sh(t, "echo 'C=\"by hand\"' >> /etc/clusterctl/value.env")
		m.Must(t, "reload", "value")
		m.Must(t, "scale", "value", "3")
		a.Instances = 3
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"C=by hand"`) {
			t.Errorf("the worker does not have the variable C: %s", about)
		}
		m.Must(t, "rollback", "value")
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"A=2"`) {
			t.Errorf("after the rollback of the scale: the worker does not have the variable A=2: %s", about)
		}
	})
}

// writeEarlierFiles writes the files of an app as an earlier version of clusterctl did: the values are in the unit and in
// NAME.yaml, and NAME.env does not exist.
func writeEarlierFiles(t testing.TB, a kit.App) {
	t.Helper()
	apps, err := config.Decode("early.yaml", []byte(a.Machine.ReadFile(t, "/etc/clusterctl/"+a.Name+".yaml")))
	if err != nil {
		t.Fatal(err)
	}
	app := apps[0]
	app.FillValues([]byte(a.Machine.ReadFile(t, "/etc/clusterctl/"+a.Name+".env")))
	set, err := units.Render(app, units.Target{
		Systemd: a.Machine.Systemd(t), Sizing: units.Sizing{Want: a.Instances, Listed: a.Instances},
		Source: "/etc/clusterctl/" + a.Name + ".yaml", Shim: kit.Shim,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range set {
		a.Machine.WriteFile(t, "/etc/systemd/system/"+f.Path, string(f.Data), 0o644)
	}
	a.Machine.WriteFile(t, "/etc/clusterctl/"+a.Name+".yaml", string(config.Encode(app)), 0o644)
	a.Machine.Sh(t, "rm /etc/clusterctl/"+a.Name+".env && systemctl daemon-reload")
}
