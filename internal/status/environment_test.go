package status

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// TestEnvironment checks that the values file, the secrets and the shim add or replace variables of a unit.
func TestEnvironment(t *testing.T) {
	store := &install.Store{Config: "/etc/clusterctl"}
	st := control.State{
		Environment: []string{"A=unit", "PORT=3000", "PASSWORD=hunter2", "TOKEN=old"},
		EnvFiles:    []control.EnvFile{{Path: store.ValuesPath("web")}, {Path: "/etc/web.env", Optional: true}},
	}
	conn := &fakeConn{states: map[string]control.State{"web@1.service": st, "web@2.service": st}}
	c := &Collector{Conn: conn, Store: store}
	a := units.App{
		Name: "web", SecretEnv: []string{"KEY"}, EnvFiles: []units.EnvFile{{Path: "/srv/.env", ByWorker: true}},
		Env:  []units.EnvVar{{Name: "A", Value: "file"}, {Name: "TOKEN", Hidden: true}},
		Shim: units.ShimOptions{Increment: []units.EnvVar{{Name: "PORT", Value: "3000"}}},
	}
	for _, test := range []struct {
		instance     int
		secrets      bool
		unit, wanted string
	}{
		{0, false, "web@1.service", "A=file INSTANCE=1 KEY=******** NODE_APP_INSTANCE=0 PASSWORD=******** PORT=3000 TOKEN=?"},
		{2, true, "web@2.service", "A=file INSTANCE=2 KEY=******** NODE_APP_INSTANCE=1 PASSWORD=hunter2 PORT=3001 TOKEN=?"},
	} {
		one, err := c.Environment(t.Context(), Listed{App: a, Count: 2}, EnvironmentOptions{Instance: test.instance, Secrets: test.secrets})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range one.Variables {
			if v.NeedsRoot {
				v.Value = "?"
			}
			got = append(got, v.Name+"="+v.Value)
		}
		if one.Unit != test.unit || strings.Join(got, " ") != test.wanted {
			t.Errorf("%s: got %q, want %q", one.Unit, got, test.wanted)
		}
		if want := []EnvironmentFile{{"/etc/web.env", true, false}, {"/srv/.env", false, true}}; !slices.Equal(one.Files, want) {
			t.Errorf("got the files %v, want %v", one.Files, want)
		}
	}
	if st.Environment[0] != "A=unit" {
		t.Errorf("Environment has changed the state: %q", st.Environment)
	}
	if _, err := c.Environment(t.Context(), Listed{App: a}, EnvironmentOptions{}); err == nil || err.Error() != "web has no instance" {
		t.Errorf("got error %v", err)
	}
	_, err := c.Environment(t.Context(), Listed{App: a, Count: 2}, EnvironmentOptions{Instance: 2, Running: true})
	if err == nil || !strings.HasPrefix(err.Error(), "web@2 does not run") || fault.Hint(err) != "clusterctl env web@2" {
		t.Errorf("got error %v, hint %q", err, fault.Hint(err))
	}
}

// TestShimVariables checks that the variables of the shim replace variables of the app with the same name.
func TestShimVariables(t *testing.T) {
	a := units.App{Shim: units.ShimOptions{Increment: []units.EnvVar{{Name: "PORT", Value: "3000"}, {Name: "GONE", Value: "1"},
		{Name: "WORD", Value: "1"}}}}
	got := withShimVariables(a, []string{"PORT=3000", "INSTANCE=7", "A=b", "NODE_APP_INSTANCE=9", "WORD=x"}, 3)
	slices.Sort(got)
	if s := strings.Join(got, " "); s != "A=b INSTANCE=3 NODE_APP_INSTANCE=2 PORT=3002 WORD=x" {
		t.Errorf("got %s, want PORT, INSTANCE and NODE_APP_INSTANCE of instance 3", s)
	}
}
