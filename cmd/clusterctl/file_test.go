package main

import (
	"strings"
	"testing"

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

// TestInstallFromFile checks in which cases install uses an app of clusterctl.yaml, and which flags it then refuses.
func TestInstallFromFile(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"install shop", exitFailed, "systemd is not running here"},
		{"install shop --dry-run --settle 2s --force --json", exitFailed, "systemd is not running here"},
		{"install shop -i 3", exitUsage,
			"clusterctl: --instances cannot be used for shop, which clusterctl.yaml describes\nclusterctl: hint: change the file"},
		{"install shop --name other", exitUsage, "--name cannot be used for shop"},
		{"install shop --no-listen -- /bin/true", exitFailed, "systemd is not running here"},
		{"install shp", exitUsage, `"shp": no such file`},
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
			t.Errorf("%s: got status %d, stdout %s, stderr %s", c.args, code, w.out.String(), w.err.String())
		}
	}
	w := newWorld(t)
	w.file(t, "wd/clusterctl.yaml", "apps: [\n", 0o644)
	if code := w.do("install", "shop"); code != exitFailed || !strings.Contains(w.err.String(), "clusterctl.yaml:") {
		t.Errorf("a file that cannot be read: got status %d and %s", code, w.err.String())
	}
	if code := w.do("install", "shop", "--no-listen", "--", "/bin/true"); code != exitFailed ||
		strings.Contains(w.err.String(), "clusterctl.yaml") {
		t.Errorf("a program after --: got status %d, stderr %s", code, w.err.String())
	}
}

// TestRevisions checks that "show --revisions" lists the earlier revisions, newest first, each with the keys that the next
// change modified.
func TestRevisions(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "shop", 1)
	if w.do("show", "shop", "--revisions") != exitDone || !strings.Contains(w.err.String(), "has not been changed") || w.out.Len() > 0 {
		t.Errorf("got stdout %s, stderr %s", w.out.String(), w.err.String())
	}
	for n := range install.KeepRevisions + 3 {
		w.installApp(t, "shop", n+2)
	}
	if w.do("show", "shop", "--revisions") != exitDone {
		t.Fatalf("got stderr %s", w.err.String())
	}
	lines := strings.Split(strings.TrimSpace(w.out.String()), "\n")
	if len(lines) != install.KeepRevisions+1 || !strings.HasPrefix(lines[0], "REVISION") ||
		!strings.HasPrefix(lines[1], "13 ") || !strings.HasPrefix(lines[10], "4 ") {
		t.Errorf("got stdout %s", w.out.String())
	}
	for _, l := range lines[1:] {
		if !strings.Contains(l, "  instances  ") || !strings.HasSuffix(l, "clusterctl test") {
			t.Errorf("got the line %q", l)
		}
	}
	if w.do("rollback", "shop", "2") != exitFailed ||
		!strings.Contains(w.err.String(), "shop has no revision 2\nclusterctl: hint: the app has revisions 4 to 13") {
		t.Errorf("got stderr %s", w.err.String())
	}
	if w.do("rollback", "shop", "two") != exitUsage {
		t.Errorf("got stderr %s", w.err.String())
	}
}
