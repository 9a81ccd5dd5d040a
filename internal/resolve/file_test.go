package resolve

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

const twoApps = `
apps:
  shop:
    command: [node, server.js]
    directory: app
    env-files: [secrets, -/etc/optional]
    writable: data
    listen: 8080
  mailer:
    command: [./bin/mailer]
    directory: mail
`

func TestApps(t *testing.T) {
	w := newWorld(t)
	w.path["node"] = "/usr/bin/node"
	w.file(t, "wd/sub/clusterctl.yaml", twoApps, 0o644)
	apps, err := w.Apps("sub/clusterctl.yaml")
	if err != nil || len(apps) != 2 {
		t.Fatalf("got %d apps, error %v, want 2 apps", len(apps), err)
	}
	dir := filepath.Join(w.dir, "wd/sub")
	shop, mailer := apps[0], apps[1]
	for what, pair := range map[string][2]string{
		"the program in $PATH":           {shop.Command[0], "/usr/bin/node"},
		"an argument":                    {shop.Command[1], "server.js"},
		"the directory":                  {shop.Directory, dir + "/app"},
		"a file of variables":            {shop.EnvFiles[0].Path, dir + "/secrets"},
		"a full path":                    {shop.EnvFiles[1].Path, "/etc/optional"},
		"a writable path":                {shop.Writable[0], dir + "/data"},
		"a program beside the directory": {mailer.Command[0], dir + "/mail/bin/mailer"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	w.file(t, "wd/bad.yaml", "apps:\n  shop:\n    command: [nod]\n    liste: 80\n", 0o644)
	if _, err := w.Apps("bad.yaml"); err == nil || !strings.Contains(err.Error(),
		`bad.yaml:3: apps.shop.command: the program "nod" is not in $PATH`) || !strings.Contains(err.Error(), "bad.yaml:4") {
		t.Errorf("got error %v, want errors for lines 3 and 4", err)
	}
	chosen, err := Choose(apps, []string{"mailer"}, "x.yaml")
	if err != nil || len(chosen) != 1 || chosen[0].Name != "mailer" || len(apps) != 2 || apps[0].Name != "shop" {
		t.Errorf("with a name: got %v, error %v, want only mailer", chosen, err)
	}
	if all, err := Choose(apps, nil, "x.yaml"); err != nil || len(all) != 2 {
		t.Errorf("without names: got %v, error %v, want 2 apps", all, err)
	}
}

// TestAppsOfSource calls Apps with the source of an installed app. Apps must read the values of variables from the values
// file.
func TestAppsOfSource(t *testing.T) {
	w := newWorld(t)
	a := units.App{Name: "shop", Command: []string{"/bin/true"}, Instances: units.Count{N: 1}, Activation: units.Native}
	w.install(t, a)
	a.Env = []units.EnvVar{{Name: "FOO", Value: "a b"}}
	source := w.Store.ConfigPath("shop")
	for path, data := range map[string][]byte{source: config.EncodeNames(a), w.Store.ValuesPath("shop"): units.RenderValues(a)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apps, err := w.Apps(source)
	if err != nil || len(apps) != 1 || !slices.Equal(apps[0].Env, a.Env) {
		t.Errorf("got %+v, error %v, want the values %v", apps, err, a.Env)
	}
	if _, err := w.Apps(w.Store.ConfigPath("gone")); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("a missing source: got error %v", err)
	}
	w.file(t, "wd/shop.yaml", string(config.EncodeNames(a)), 0o644)
	if _, err := w.Apps("shop.yaml"); err == nil || !strings.Contains(err.Error(), "env.FOO: has no value") {
		t.Errorf("a copy of the source in another directory: got error %v", err)
	}
}
