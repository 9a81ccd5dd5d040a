package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
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

func TestReadApps(t *testing.T) {
	w := newWorld(t)
	w.path["node"] = "/usr/bin/node"
	w.file(t, "wd/sub/clusterctl.yaml", twoApps, 0o644)
	apps, err := w.readApps("sub/clusterctl.yaml")
	if err != nil || len(apps) != 2 {
		t.Fatalf("%d apps, %v", len(apps), err)
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
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	w.file(t, "wd/bad.yaml", "apps:\n  shop:\n    command: [nod]\n    liste: 80\n", 0o644)
	if _, err := w.readApps("bad.yaml"); err == nil ||
		!strings.Contains(err.Error(), `bad.yaml:3: apps.shop.command: the program "nod" is not in $PATH`) ||
		!strings.Contains(err.Error(), "bad.yaml:4") {
		t.Errorf("the error is %v", err)
	}
	chosen, err := choose(apps, []string{"mailer"}, "x.yaml")
	if err != nil || len(chosen) != 1 || chosen[0].Name != "mailer" || len(apps) != 2 || apps[0].Name != "shop" {
		t.Errorf("chosen: %v, %v", chosen, err)
	}
	if all, err := choose(apps, nil, "x.yaml"); err != nil || len(all) != 2 {
		t.Errorf("all: %v, %v", all, err)
	}
}

// TestReadSource: the source of an installed app has no values of variables. They are in the values file.
func TestReadSource(t *testing.T) {
	w := newWorld(t)
	a := w.installed(t, "shop", 1)
	a.Env = []units.EnvVar{{Name: "FOO", Value: "a b"}}
	source := w.store.ConfigPath("shop")
	for path, data := range map[string][]byte{source: config.EncodeNames(a), w.store.ValuesPath("shop"): units.RenderValues(a)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apps, err := w.readApps(source)
	if err != nil || len(apps) != 1 || !slices.Equal(apps[0].Env, a.Env) {
		t.Errorf("%+v, %v", apps, err)
	}
	if _, err := w.readApps(w.store.ConfigPath("gone")); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("a source that is missing: %v", err)
	}
	w.file(t, "wd/shop.yaml", string(config.EncodeNames(a)), 0o644)
	if _, err := w.readApps("shop.yaml"); err == nil || !strings.Contains(err.Error(), "env.FOO: has no value") {
		t.Errorf("a copy elsewhere: %v", err)
	}
}

// TestInstallFromFile: when a target of install is an app of the file, and what does not go with it.
func TestInstallFromFile(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"install shop", exitFailed, "systemd is not running here"},
		{"install shop --dry-run --settle 2s --force --json", exitFailed, "systemd is not running here"},
		{"install shop -i 3", exitUsage, "clusterctl: --instances: shop is described in clusterctl.yaml\nclusterctl: hint: write it there"},
		{"install shop --name other", exitUsage, "--name: shop is described"},
		{"install shop --no-listen -- /bin/true", exitFailed, "systemd is not running here"},
		{"install shp", exitUsage, `there is no file "shp"`},
		{"apply shp", exitFailed, `there is no app "shp" in clusterctl.yaml` + "\nclusterctl: hint: did you mean shop?"},
		{"apply", exitFailed, "clusterctl: shop: systemd is not running here"},
		{"diff mailer", exitFailed, "clusterctl: systemd is not running here"},
	} {
		w := newWorld(t)
		w.path["node"] = "/bin/true"
		w.file(t, "wd/bin/mailer", "#!/bin/sh\n", 0o755)
		w.mkdir(t, "wd/app", 0o755)
		w.file(t, "wd/clusterctl.yaml", strings.NewReplacer("directory: mail\n", "", "    env-files: [secrets, -/etc/optional]\n",
			"", "    writable: data\n", "").Replace(twoApps), 0o644)
		if code := w.do(strings.Fields(c.args)...); code != c.code || !strings.Contains(w.err.String(), c.want) {
			t.Errorf("%s: %d, %s%s", c.args, code, w.out.String(), w.err.String())
		}
	}
	w := newWorld(t)
	w.file(t, "wd/clusterctl.yaml", "apps: [\n", 0o644)
	if code := w.do("install", "shop"); code != exitFailed || !strings.Contains(w.err.String(), "clusterctl.yaml:") {
		t.Errorf("a file that cannot be read: %d, %s", code, w.err.String())
	}
	if code := w.do("install", "shop", "--no-listen", "--", "/bin/true"); code != exitFailed ||
		strings.Contains(w.err.String(), "clusterctl.yaml") {
		t.Errorf("a program behind --: %d, %s", code, w.err.String())
	}
}

// TestRevisions: the states before the present one, newest first, each with what was changed then.
func TestRevisions(t *testing.T) {
	w := newWorld(t)
	w.installed(t, "shop", 1)
	if w.do("show", "shop", "--revisions") != exitDone || !strings.Contains(w.err.String(), "has not been changed") || w.out.Len() > 0 {
		t.Errorf("%s%s", w.out.String(), w.err.String())
	}
	for n := range install.KeepRevisions + 3 {
		w.installed(t, "shop", n+2)
	}
	if w.do("show", "shop", "--revisions") != exitDone {
		t.Fatal(w.err.String())
	}
	lines := strings.Split(strings.TrimSpace(w.out.String()), "\n")
	if len(lines) != install.KeepRevisions+1 || !strings.HasPrefix(lines[0], "REVISION") ||
		!strings.HasPrefix(lines[1], "13 ") || !strings.HasPrefix(lines[10], "4 ") {
		t.Errorf("%s", w.out.String())
	}
	for _, l := range lines[1:] {
		if !strings.Contains(l, "  instances  ") || !strings.HasSuffix(l, "clusterctl test") {
			t.Errorf("the line %q", l)
		}
	}
	if w.do("rollback", "shop", "2") != exitFailed ||
		!strings.Contains(w.err.String(), "shop has no revision 2\nclusterctl: hint: it has 4 to 13") {
		t.Error(w.err.String())
	}
	if w.do("rollback", "shop", "two") != exitUsage {
		t.Error(w.err.String())
	}
}
