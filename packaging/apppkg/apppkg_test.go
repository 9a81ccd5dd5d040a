package apppkg

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

func decode(t *testing.T, yaml string) units.App {
	t.Helper()
	apps, err := config.Decode("x.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return apps[0]
}

const shop = `name: shop
command: [/usr/bin/node, server.js, "--conf=/srv/shop/c.json", "a:/srv/shop:/srv/shop/lib,/srv/shopping", /srv/shop]
directory: /srv/shop/
run-as: shop
instances: 3
listen: [8080, "admin=9000"]
env: {NODE_PATH: /srv/shop/lib, OTHER: /srv/shopping}
env-files: [/srv/shop/.env, -/etc/default/shop]
writable: [/srv/shop/data, /var/spool/shop]
`

func regular(p string, mode fs.FileMode) File {
	return File{Path: p, Mode: mode, Source: p, Size: 10, Digest: "d" + p}
}

// The function input returns the input for a package of the app in yaml, with the files of shop.
func input(t *testing.T, yaml string) Input {
	t.Helper()
	a := decode(t, yaml)
	a.Directory = path.Clean(a.Directory)
	roots, err := Roots(a, func(p string) bool { return p == "/usr/bin/node" })
	if err != nil {
		t.Fatal(err)
	}
	return Input{
		App: a, Roots: roots, Version: "1.2", Arch: "all", Maintainer: "A B <a@b.example>", Depends: []string{"nodejs"},
		Target: units.Target{Systemd: 252, Sizing: units.Sizing{Want: 3, Listed: 3}},
		Files: []File{
			{Path: "/srv/shop", Mode: fs.ModeDir | 0o700}, regular("/srv/shop/server.js", 0o600), regular("/srv/shop/bin/tool", 0o750),
			{Path: "/srv/shop/latest", Mode: fs.ModeSymlink | 0o777, Link: "/srv/shop/bin/tool"},
			regular("/srv/shop/data/db", 0o644),
			{Path: "/srv/shop/.env", Mode: 0o644, Source: "/srv/shop/.env", Included: true},
			{Path: "/etc/shop/extra.conf", Mode: 0o644, Source: "/etc/shop/extra.conf", Included: true},
			{Path: "/usr/share/shop/data", Mode: 0o644, Source: "/usr/share/shop/data", Included: true},
		},
	}
}

func plan(t *testing.T, in Input) Package {
	t.Helper()
	p, err := Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func find(t *testing.T, files []File, p string) File {
	t.Helper()
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == p })
	if i < 0 {
		t.Fatalf("%s is missing in the package", p)
	}
	return files[i]
}

func TestPlan(t *testing.T) {
	p := plan(t, input(t, shop))
	for _, c := range []struct {
		path string
		mode fs.FileMode
		link string
	}{
		{"/usr/lib/clusterctl-apps/shop/app", fs.ModeDir | 0o755, ""},
		{"/usr/lib/clusterctl-apps/shop/app/server.js", 0o644, ""},
		{"/usr/lib/clusterctl-apps/shop/app/bin/tool", 0o755, ""},
		{"/usr/lib/clusterctl-apps/shop/app/latest", fs.ModeSymlink | 0o777, "/opt/clusterctl-apps/shop/current/app/bin/tool"},
		{"/usr/lib/clusterctl-apps/shop/units/shop@.service", 0o644, ""},
		{"/usr/lib/systemd/system/shop.service", 0o644, ""},
		{"/usr/lib/systemd/system/shop@.service", fs.ModeSymlink | 0o777, "/opt/clusterctl-apps/shop/current/units/shop@.service"},
		{"/usr/lib/systemd/system/shop-admin.socket", fs.ModeSymlink | 0o777, "/opt/clusterctl-apps/shop/current/units/shop-admin.socket"},
		{"/usr/lib/sysusers.d/shop.conf", 0o644, ""},
		{"/etc/clusterctl-apps/shop/.env", 0o600, ""},
		{"/etc/shop/extra.conf", 0o644, ""},
		{"/usr/share/shop/data", 0o644, ""},
	} {
		if f := find(t, p.Files, c.path); f.Mode != c.mode || f.Link != c.link {
			t.Errorf("%s: got %v, link %q, want %v, link %q", c.path, f.Mode, f.Link, c.mode, c.link)
		}
	}
	for _, f := range p.Files {
		if strings.Contains(f.Path+"/", "/app/data/") || strings.HasSuffix(f.Path, "/app/.env") {
			t.Errorf("the package contains %s, which belongs to the target", f.Path)
		}
	}
	if got := string(find(t, p.Control, "conffiles").Data); got != "/etc/clusterctl-apps/shop/.env\n/etc/shop/extra.conf\n" {
		t.Errorf("got the conffiles %q", got)
	}
	control := string(find(t, p.Control, "control").Data)
	for _, want := range []string{"Package: shop\n", "Version: 1.2\n", "Depends: systemd (>= 252~), clusterctl, nodejs\n"} {
		if !strings.Contains(control, want) {
			t.Errorf("no %q in:\n%s", want, control)
		}
	}
	if strings.Contains(control, "Suggests") {
		t.Error("the package suggests and depends on clusterctl")
	}
	if got, want := string(find(t, p.Files, "/usr/lib/clusterctl-apps/shop/instances").Data), "1\n2\n3\n"; got != want {
		t.Errorf("got the instances %q, want %q", got, want)
	}
}

// TestRuntimeStateIsRemoved checks that postrm removes the files of the app in /run. The script repeats the paths,
// because it cannot use the Go constants.
func TestRuntimeStateIsRemoved(t *testing.T) {
	script := string(find(t, plan(t, input(t, shop)).Control, "postrm").Data)
	for _, want := range []string{`"` + contract.RunDirectory + `/$name"`, `"$dir` + contract.LockSuffix + `"`} {
		if !strings.Contains(script, want) {
			t.Errorf("no %s in:\n%s", want, script)
		}
	}
}

// TestJournal checks that the configuration of a private journal is a conffile in /etc/systemd, and that the scripts stop
// and remove the journal.
func TestJournal(t *testing.T) {
	p := plan(t, input(t, shop+"log-namespace: true\nlog-max-size: 100M\n"))
	f := find(t, p.Files, "/etc/systemd/journald@clusterctl-shop.conf")
	if !strings.Contains(string(f.Data), "SystemMaxUse=") {
		t.Errorf("no SystemMaxUse= in:\n%s", f.Data)
	}
	if got := string(find(t, p.Control, "conffiles").Data); !strings.Contains(got, f.Path+"\n") {
		t.Errorf("got the conffiles %q", got)
	}
	for name, want := range map[string]string{"postrm": "/var/log/journal/*.clusterctl-shop",
		"prerm": "systemctl stop systemd-journald@clusterctl-shop.socket"} {
		if got := string(find(t, p.Control, name).Data); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestState checks that the user of the workers owns the writable directories, also if the package does not create this
// user.
func TestState(t *testing.T) {
	for user, makes := range map[string]bool{"shop": true, "root": false} {
		p := plan(t, input(t, strings.Replace(shop, "run-as: shop", "run-as: "+user, 1)))
		script := string(find(t, p.Control, "postinst").Data)
		if !strings.Contains(script, "\nowner="+user+"\n") || !strings.Contains(script, "\nmake_state data\n") {
			t.Errorf("%s: postinst does not create data:\n%s", user, script)
		}
		if !strings.Contains(script, "if ! has /var/spool/shop; then\n") {
			t.Errorf("%s: postinst does not check /var/spool/shop:\n%s", user, script)
		}
		if strings.Contains(script, "\nmake_user\n") != makes {
			t.Errorf("%s: postinst creates the user: got %v, want %v", user, !makes, makes)
		}
	}
}

// TestModeNotes checks the notes about files whose permissions differ on the target.
func TestModeNotes(t *testing.T) {
	in := input(t, shop)
	in.Files = append(in.Files, regular("/srv/shop/su", fs.ModeSetuid|0o755))
	p := plan(t, in)
	if f := find(t, p.Files, "/usr/lib/clusterctl-apps/shop/app/su"); f.Mode != 0o755 {
		t.Errorf("got the mode %v, want 0755", f.Mode)
	}
	notes := strings.Join(p.Notes, "\n")
	for _, want := range []string{"bits are removed: /srv/shop/su", "everyone can read them in a package: /srv/shop/server.js",
		"/var/spool/shop must exist on the target before"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no %q in:\n%s", want, notes)
		}
	}
}

// TestRelocation checks that the configuration and the units in the package contain the paths of the target.
func TestRelocation(t *testing.T) {
	p := plan(t, input(t, shop))
	a := decode(t, string(find(t, p.Files, "/usr/lib/clusterctl-apps/shop/clusterctl.yaml").Data))
	const app = "/opt/clusterctl-apps/shop/current/app"
	want := []string{"/usr/bin/node", "server.js", "--conf=" + app + "/c.json", "a:" + app + ":" + app + "/lib,/srv/shopping", app}
	if !slices.Equal(a.Command, want) {
		t.Errorf("got the command %q, want %q", a.Command, want)
	}
	if a.Directory != app || a.Env[0].Value != app+"/lib" || a.Env[1].Value != "/srv/shopping" {
		t.Errorf("got the directory %s, env %v", a.Directory, a.Env)
	}
	if a.EnvFiles[0].Path != "/etc/clusterctl-apps/shop/.env" || a.EnvFiles[1].Path != "/etc/default/shop" || !a.EnvFiles[1].Optional {
		t.Errorf("got the env-files %v", a.EnvFiles)
	}
	if !slices.Equal(a.Writable, []string{"/var/lib/clusterctl-apps/shop/data", "/var/spool/shop"}) {
		t.Errorf("got the writable paths %q", a.Writable)
	}
	unit := string(find(t, p.Files, "/usr/lib/clusterctl-apps/shop/units/shop@.service").Data)
	if !strings.Contains(unit, "SourcePath=/opt/clusterctl-apps/shop/current/clusterctl.yaml\n") || strings.Contains(unit, "/srv/shop/") {
		t.Errorf("the unit contains paths of this machine:\n%s", unit)
	}
}

// TestAppUnit checks that NAME.service, which is not a link, is the same in two versions of an app, and that each
// generated directive is either in NAME.service or in its drop-in.
func TestAppUnit(t *testing.T) {
	one := plan(t, input(t, shop))
	two := plan(t, input(t, "name: shop\ncommand: [/usr/bin/node, x.js]\ndirectory: /srv/shop\n"))
	const unit = "/usr/lib/systemd/system/shop.service"
	a, b := string(find(t, one.Files, unit).Data), string(find(t, two.Files, unit).Data)
	if a != b {
		t.Errorf("the files shop.service of two versions differ:\n%s\n%s", a, b)
	}
	if units.Owner(units.File{Path: "shop.service", Data: []byte(a)}) != "shop" {
		t.Error("shop.service does not have the mark of clusterctl")
	}
	in := input(t, shop)
	app, _, err := relocate(in.App, in.Roots)
	if err != nil {
		t.Fatal(err)
	}
	in.Target.Source = "/opt/clusterctl-apps/shop/current/clusterctl.yaml"
	set, err := units.Render(app, in.Target)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := set.Get("shop.service")
	dropIn := string(find(t, one.Files, "/usr/lib/clusterctl-apps/shop/units/shop.service.d/40-release.conf").Data)
	for line := range strings.Lines(string(units.Unseal(whole))) {
		if key, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") &&
			strings.Contains(a, line) == strings.Contains(dropIn, line) {
			t.Errorf("%s is in shop.service and in its drop-in, or in neither", key)
		}
	}
}

// TestRelease checks that the release ID changes if and only if the content changes.
func TestRelease(t *testing.T) {
	base := plan(t, input(t, shop)).Release
	if again := plan(t, input(t, shop)).Release; again != base || !strings.HasPrefix(base, "1.2-") {
		t.Errorf("the same content: got the releases %s and %s", base, again)
	}
	for name, change := range map[string]func(*Input){
		"content":   func(in *Input) { in.Files[1].Digest = "other" },
		"mode":      func(in *Input) { in.Files[1].Mode = 0o755 },
		"name":      func(in *Input) { in.Files[1].Path += "x" },
		"instances": func(in *Input) { in.Target.Sizing.Listed = 4 },
		"app":       func(in *Input) { in.App.Timeouts.Drain = 1e9 },
	} {
		in := input(t, shop)
		change(&in)
		if got := plan(t, in).Release; got == base {
			t.Errorf("another %s: the release is still %s", name, got)
		}
	}
}

func TestRoots(t *testing.T) {
	isFile := func(p string) bool {
		return !strings.HasSuffix(p, "/") && strings.Contains(path.Base(p), ".") || path.Base(p) == "worker"
	}
	for yaml, want := range map[string]string{
		"command: [/usr/bin/node, server.js]\ndirectory: /srv/shop": "/srv/shop=/opt/clusterctl-apps/x/current/app",
		"command: [/opt/hello/worker]":                              "/opt/hello/worker=/opt/clusterctl-apps/x/current/bin/worker",
		"command: [/opt/hello/worker]\ndirectory: /opt/hello":       "/opt/hello=/opt/clusterctl-apps/x/current/app",
		"command: [/usr/local/bin/worker]\ndirectory: /srv/x": "/srv/x=/opt/clusterctl-apps/x/current/app " +
			"/usr/local/bin/worker=/opt/clusterctl-apps/x/current/bin/worker",
		"command: [/usr/bin/node, /srv/shop/server.js]": "error: " +
			"x runs /srv/shop/server.js, which is not in its directory \"\": the package would lack other files of the script",
		"command: [/usr/bin/python3, -m, http.server]\ndirectory: /": "error: " +
			"the package of x would be empty: its directory is \"/\" and its program \"/usr/bin/python3\"",
		"command: [/usr/bin/node, /home/a/server.js]\ndirectory: /home/a": "error: " +
			"x runs /home/a/server.js, which is not in its directory \"/home/a\": the package would lack other files of the script",
		"command: [/usr/bin/node, server.js]\ndirectory: /home/a/shop":        "/home/a/shop=/opt/clusterctl-apps/x/current/app",
		"command: [/usr/bin/node, /usr/share/x/server.js]\ndirectory: /srv/x": "/srv/x=/opt/clusterctl-apps/x/current/app",
	} {
		roots, err := Roots(decode(t, "name: x\n"+yaml+"\n"), isFile)
		var got []string
		for _, r := range roots {
			got = append(got, r.From+"="+r.To)
		}
		if err != nil {
			got = []string{"error: " + err.Error()}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s\n got %s\nwant %s", yaml, strings.Join(got, " "), want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for want, change := range map[string]func(*Input){
		"version":                 func(in *Input) { in.Version = "v1" },
		"architecture":            func(in *Input) { in.Arch = "x y" },
		"maintainer":              func(in *Input) { in.Maintainer = "me" },
		"the dependency":          func(in *Input) { in.Depends = []string{"nodejs; rm"} },
		"run-as:":                 func(in *Input) { in.App.RunAs.User = "Ann Other" },
		"need a permanent user":   func(in *Input) { in.App.RunAs = units.RunAs{} },
		"cannot be writable":      func(in *Input) { in.App.Writable = []string{"/srv/shop"} },
		"older than 247":          func(in *Input) { in.Target.Systemd = 246 },
		"all data of the package": func(in *Input) { in.App.Writable = []string{"/var/lib/clusterctl-apps/shop"} },
		"\"/srv/shop/data/uploads\" is in \"/srv/shop/data\"": func(in *Input) {
			in.App.Writable = []string{"/srv/shop/data",
				"/srv/shop/data/uploads"}
		},
		"\"/srv/shop/data/x\" is in": func(in *Input) { in.App.Writable = []string{"/srv/shop/data/x", "/srv/shop/data"} },
		"is in \"/srv/shop/data\"": func(in *Input) {
			in.App.Writable = []string{"/srv/shop/data",
				"/var/lib/clusterctl-apps/shop/data/x"}
		},
		"is given twice":     func(in *Input) { in.App.Writable = []string{"/srv/shop/data", "/srv/shop/data/"} },
		"is not a directory": func(in *Input) { in.App.Writable = []string{"/srv/shop/server.js"} },
		"contains a control character": func(in *Input) {
			in.Files = append(in.Files,
				regular("/srv/shop/x\n/etc/passwd", 0o644))
		},
		"the link target contains":                          func(in *Input) { in.Files[3].Link = "\033[2J" },
		"\"/srv/shop/latest/x\" is behind the link":         func(in *Input) { in.App.Writable = []string{"/srv/shop/latest/x"} },
		"the workers can write to its parent \"/etc/shop\"": func(in *Input) { in.App.Writable = []string{"/etc/shop"} },
		"two files become": func(in *Input) {
			in.App.EnvFiles = []units.EnvFile{{Path: "/srv/shop/a/.env"}, {Path: "/srv/shop/b/.env"}}
		},
		"in the package twice": func(in *Input) { in.Files = append(in.Files, in.Files[1]) },
	} {
		in := input(t, shop)
		change(&in)
		if _, err := Plan(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestSecret(t *testing.T) {
	for p, want := range map[string]bool{
		".env": true, "sub/.env": true, ".env.production": true, ".env.example": false, "server.key": true, "tls/cert.pem": true,
		"node_modules/x/test/key.pem": false, "server.js": false, "id_rsa": true, "environment.js": false, ".npmrc": true,
		"prod.env": true, "example.env": false, ".git-credentials": true,
	} {
		if Secret(p) != want {
			t.Errorf("Secret(%q) is %v, want %v", p, !want, want)
		}
	}
	for p, want := range map[string]bool{"clusterctl.yaml": true, "a/clusterctl.yaml": false, ".git": true, "a/.git": true,
		".github": false, "node_modules": false, "node_modules/.cache": true} {
		if Junk(p) != want {
			t.Errorf("Junk(%q) is %v, want %v", p, !want, want)
		}
	}
}

func TestNames(t *testing.T) {
	for n, want := range map[units.Name]string{"shop": "shop", "My_App.2": "my-app.2", "a": "a-app"} {
		if got := DebName(n); got != want {
			t.Errorf("DebName(%q) is %q, want %q", n, got, want)
		}
	}
	for v, want := range map[string]string{"1.2.3": "1.2.3", "v1.2": "1.2", "1.2.3-beta.1": "1.2.3~beta.1", "1.0-rc-2": "1.0~rc.2"} {
		if got := DebVersion(v); got != want {
			t.Errorf("DebVersion(%q) is %q, want %q", v, got, want)
		}
	}
}

// TestScripts checks that sh can parse the scripts of all kinds of apps, and that quotes in a word are escaped.
func TestScripts(t *testing.T) {
	for _, yaml := range []string{shop, shop + "log-namespace: true\n", strings.Replace(shop, "run-as: shop", "run-as: root", 1),
		"name: x\ncommand: [/opt/x/worker]\ndirectory: /opt/x\n"} {
		for _, f := range plan(t, input(t, yaml)).Control {
			if !strings.HasPrefix(string(f.Data), "#!/bin/sh\n") {
				continue
			}
			if f.Mode != 0o755 {
				t.Errorf("%s: got the mode %v, want 0755", f.Path, f.Mode)
			}
			cmd := exec.Command("sh", "-n")
			cmd.Stdin = strings.NewReader(string(f.Data))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s\n%s", f.Path, err, out, f.Data)
			}
		}
	}
	const odd = "a'b $(c) `d` \\ \"e\""
	out, err := exec.Command("sh", "-c", "printf %s "+text.Shell(odd)).Output()
	if err != nil || string(out) != odd {
		t.Errorf("got %q, error %v, want %q", out, err, odd)
	}
}

// TestPreinstKnowsItsPackage checks that preinst recognizes packages of the app. Packages of an earlier clusterctl used
// another directory, and quoted every word in their scripts.
func TestPreinstKnowsItsPackage(t *testing.T) {
	script := string(find(t, plan(t, input(t, shop)).Control, "preinst").Data)
	functions, _, found := strings.Cut(script, "\nrefuse() {")
	if !found {
		t.Fatalf("no refuse in:\n%s", script)
	}
	postrm := string(find(t, plan(t, input(t, shop)).Control, "postrm").Data)
	const head = "#!/bin/sh\n# Made by \"clusterctl package\". Text.\n"
	for installed, want := range map[string]string{
		postrm: "ours\n",
		head + "name='shop'\nhome='/opt/clusterctl-apps/shop'\n": "ours\n",
		head + "name='shop'\nhome='/opt/shop'\n":                 "ours\nformer\n",
		head + "name=shop\nhome=/opt/shop\n":                     "ours\nformer\n",
		head + "name=shop2\nhome=/opt/shop2\n":                   "",
		"#!/bin/sh\nname=shop\n":                                 "",
	} {
		dir := t.TempDir()
		query := "#!/bin/sh\ncat <<'END'\n" + installed + "END\n"
		if err := os.WriteFile(filepath.Join(dir, "dpkg-query"), []byte(query), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh")
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		cmd.Stdin = strings.NewReader(functions + "\nif is_ours; then echo ours; fi\nif is_former; then echo former; fi\n")
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("installed postrm %q: got %q, error %v, want %q", installed, out, err, want)
		}
	}
}
