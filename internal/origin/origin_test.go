package origin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestName(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/npm/package.json", `{"name": "@acme/shop"}`)
	write(t, dir+"/nameless/package.json", `{"private": true}`)
	write(t, dir+"/broken/package.json", `{`)
	for path, want := range map[string]string{
		dir + "/npm/index.js": "shop", dir + "/npm/dist/index.js": "shop", dir + "/npm/packages/api/server.js": "shop",
		dir + "/nameless/server.js": "nameless", dir + "/broken/server.js": "broken",
		"/srv/shop/server.js": "shop", "/srv/shop/dist/index.js": "shop", "/srv/shop/bin/www": "shop", "/opt/shop/server": "shop",
		"/srv/shop/current/app.py": "shop", "/srv/shop/releases/124/src/main.js": "shop", "/srv/shop/v1.2.3/main": "shop",
		"/srv/shop/app/main.py": "shop",
		"/srv/server.js":        "", "/server.js": "", "/home/ann/server.js": "", "/home/ann/bot/index.js": "bot", "/root/index.js": "",
		"/var/www/html/index.php": "", "/var/www/shop/public/index.php": "shop", "/usr/local/bin/server": "",
		"/usr/src/app/server.js": "", "/srv/current/server.js": "",
	} {
		if got := Name(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestIsRelease(t *testing.T) {
	for name, want := range map[string]bool{
		"v1": true, "1.2.3": true, "v2.0.0-rc.1": true, "20261129": true, "20261129T120000": true, "20261129120000": true, "3f2a9bc": true,
		"0123456789abcdef0123456789abcdef01234567": true,
		"1": false, "124": false, "1001": false, "app1": false, "b": false, "shop": false, "facade": false,
		"defaced": false, "web-2": false,
	} {
		if got := isRelease("shop", name); got != want {
			t.Errorf("isRelease(\"shop\", %q) is %v, want %v", name, got, want)
		}
	}
	if !isRelease("releases", "124") || !isRelease("Releases", "blue") {
		t.Error("isRelease returned false for a directory in releases")
	}
}

func TestSame(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"a", "b", "shop/releases/1", "shop/releases/2", "ven/bin"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir+"/ven/pyvenv.cfg", "")
	if err := os.Symlink("releases/1", dir+"/shop/current"); err != nil {
		t.Fatal(err)
	}
	app := func(directory, command string) units.App {
		return units.App{Directory: strings.ReplaceAll(directory, "D", dir), Command: strings.Fields(strings.ReplaceAll(command, "D", dir))}
	}
	for _, c := range []struct {
		what       string
		now, asked units.App
		want       bool
	}{
		{"the same directory", app("D/a", "/usr/bin/node D/a/server.js"), app("D/a", "/usr/bin/node D/a/index.js"), true},
		{"another directory", app("D/a", "/usr/bin/node D/a/server.js"), app("D/b", "/usr/bin/node D/b/server.js"), false},
		{"another directory, the same command", app("D/a", "/usr/bin/node server.js"), app("D/b", "/usr/bin/node server.js"), false},
		{"the same program in another working directory", app("D/a", "D/b/worker"), app("D/b", "D/b/worker --new"), true},
		{"the same program, without a directory", app("/", "D/b/worker"), app("", "D/b/worker"), true},
		{"another program without a directory", app("", "D/a/worker"), app("", "D/b/worker"), false},
		{"programs of the system", app("", "/usr/bin/python3 -m x"), app("/", "/usr/sbin/x"), true},
		{"a program of the system that gets a directory", app("", "/usr/bin/redis-server"), app("D/b", "/usr/bin/redis-server"), true},
		{"a program of the system instead of a program of the app", app("D/a", "D/a/worker"), app("/", "/bin/false"), true},
		{"a program of the system in two directories", app("D/a", "/usr/bin/redis-server"), app("D/b", "/usr/bin/redis-server"), false},
		{"an interpreter that two projects share", app("D/a", "D/ven/bin/gunicorn app:app"),
			app("D/b", "D/ven/bin/gunicorn app:app"), false},
		{"the node of a version manager", app("D/a", "D/.nvm/bin/node server.js"), app("D/b", "D/.nvm/bin/node server.js"), false},
		{"a file that both apps load with --require", app("D/a", "/usr/bin/node --require D/x/hook.js a.js"),
			app("D/b", "/usr/bin/node --require D/x/hook.js a.js"), false},
		{"the next release", app("D/shop/releases/1", "/usr/bin/node x.js"), app("D/shop/releases/2", "/usr/bin/node x.js"), true},
		{"a subdirectory of the next release", app("D/shop/releases/1/api", "/usr/bin/node x.js"),
			app("D/shop/releases/2/api", "/usr/bin/node x.js"), true},
		{"a release of another project", app("D/shop/releases/1", "/usr/bin/node x.js"),
			app("D/b/releases/1", "/usr/bin/node x.js"), false},
		{"from a release to the link", app("D/shop/releases/2", "/usr/bin/node x.js"), app("D/shop/current", "/usr/bin/node x.js"), true},
		{"from the link to its target", app("D/shop/current", "/usr/bin/node x.js"), app("D/shop/releases/1", "/usr/bin/node x.js"), true},
		{"a missing directory", app("D/gone", "/usr/bin/node D/gone/x.js"), app("D/b", "/usr/bin/node D/b/x.js"), true},
	} {
		if got := Same(c.now, c.asked); got != c.want {
			t.Errorf("%s: Same returned %v, want %v", c.what, got, c.want)
		}
	}
	gone := app("D/gone", "/usr/bin/node D/gone/x.js")
	gone.RunAs.User = "ann"
	if Same(gone, app("D/b", "/usr/bin/node D/b/x.js")) {
		t.Error("Same returned true for an app of another user whose directory is missing")
	}
	if got := Place(app("", "/usr/bin/redis-server")) + Place(app("/srv/a", "/opt/x")) +
		Place(app("", "/opt/a/x")); got != "/usr/bin/redis-server/srv/a/opt/a" {
		t.Errorf("got the places %s", got)
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}
