//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// TestValuesOfEarlierVersions: earlier versions wrote the values of variables into units and source. Such an app keeps
// running unchanged. A scale keeps the values where they are, and an apply moves them to the values file.
func TestValuesOfEarlierVersions(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "early", 2, 8661, "--run-as", "nobody:nogroup", "--env", "DB_PASSWORD=hunter2",
			"--env", "ODD=a b%$\"", "--", worker)
		beforeValues(t, a)
		m.Sh(t, "chmod 640 /etc/clusterctl/early.yaml")
		template := m.ReadFile(t, "/etc/systemd/system/early@.service")
		pids := a.PIDs(t)
		r := m.Must(t, "diff", "--all")
		if !strings.Contains(r.Stdout, `-Environment="DB_PASSWORD=********"`) ||
			!strings.Contains(r.Stdout, "+DB_PASSWORD=\"********\"") || strings.Contains(r.Stdout, "hunter2") {
			t.Errorf("diff: %v", r)
		}
		m.Must(t, "scale", "early", "3")
		a.Instances = 3
		a.WantUp(t)
		if now := a.PIDs(t); !slices.Equal(now[:2], pids) {
			t.Errorf("scale has replaced instances: %v, then %v", pids, now)
		}
		if now := m.ReadFile(t, "/etc/systemd/system/early@.service"); now != template {
			t.Errorf("scale has changed the template: %s", now)
		}
		if got := m.Sh(t, "stat -c %a /etc/clusterctl/early.yaml; grep -c hunter2 /etc/clusterctl/early.yaml; "+
			"ls /etc/clusterctl/early.env 2>&1 || true"); got != "640\n1\n"+
			"ls: cannot access '/etc/clusterctl/early.env': No such file or directory" {
			t.Errorf("mode and values of the source: %s", got)
		}
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"DB_PASSWORD=hunter2"`) ||
			!strings.Contains(about, `"ODD=a b%$\""`) {
			t.Errorf("the worker has %s", about)
		}
		m.Must(t, "scale", "early", "max")
		follows := m.ReadFile(t, "/etc/systemd/system/early@.service")
		if !strings.Contains(follows, "\nConditionCPUs=|>=%i\n") || !strings.Contains(follows, "hunter2") || units.Edited([]byte(follows)) {
			t.Errorf("after scale max: %s", follows)
		}
		m.Must(t, "scale", "early", "3")
		if now := m.ReadFile(t, "/etc/systemd/system/early@.service"); now != template {
			t.Errorf("after scale max and back: %s", now)
		}
		m.Must(t, "scale", "early", "2")
		m.Must(t, "rollback", "early")
		m.Must(t, "scale", "early", "2")
		a.Instances = 2
		a.WantUp(t)
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"DB_PASSWORD=hunter2"`) {
			t.Errorf("after the rollback the worker has %s", about)
		}
		m.Must(t, installArgs(a, 8661, "--run-as", "nobody:nogroup", "--env", "DB_PASSWORD=hunter2", "--env", "ODD=a b%$\"",
			"--", worker)...)
		if r := m.Try("grep -rl hunter2 /etc"); r.Stdout != "/etc/clusterctl/early.env\n" {
			t.Errorf("the value is in %s", r.Stdout)
		}
		if r := m.Must(t, "diff", "--all"); strings.Contains(r.Stdout, "early") {
			t.Errorf("differences are left: %s", r.Stdout)
		}
	})
}

// TestChangedValueReplacesInstances: a changed value replaces the instances, without a daemon-reload.
func TestChangedValueReplacesInstances(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "value", 2, 8662, "--env", "A=1", "--env", "B=1", "--", worker)
		before, read := a.PIDs(t), reloads(t, m)
		m.Must(t, installArgs(a, 8662, "--env", "A=2", "--env", "B=1", "--", worker)...)
		after := a.PIDs(t)
		if before[0] == after[0] || before[1] == after[1] || reloads(t, m) != read {
			t.Errorf("PIDs %v, then %v, with %d daemon-reloads", before, after, reloads(t, m)-read)
		}
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"A=2"`) || !strings.Contains(about, `"B=1"`) {
			t.Errorf("the worker has %s", about)
		}
		if r := m.Must(t, "show", "value", "--revisions"); !strings.Contains(r.Stdout, " env ") || strings.Contains(r.Stdout, "A=2") {
			t.Errorf("revisions: %v", r)
		}
		// Values that root adds to the file by hand are used and kept.
		m.Sh(t, "echo 'C=\"by hand\"' >> /etc/clusterctl/value.env")
		m.Must(t, "reload", "value")
		m.Must(t, "scale", "value", "3")
		a.Instances = 3
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"C=by hand"`) {
			t.Errorf("the worker has %s", about)
		}
		m.Must(t, "rollback", "value")
		if about := a.Machine.Get(t, a.URL("/about")); !strings.Contains(about, `"A=2"`) {
			t.Errorf("after the rollback of the scale: %s", about)
		}
	})
}

// beforeValues writes the files of an app as earlier versions did, without a values file.
func beforeValues(t testing.TB, a kit.App) {
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
