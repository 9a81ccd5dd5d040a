package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestPM2Commands runs every command of PM2: it is one of ours, or there is a hint and nothing else.
func TestPM2Commands(t *testing.T) {
	seen := map[string]bool{}
	manual := pm2Manual(t)
	for _, c := range pm2Commands() {
		for _, name := range c.names {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
			if !regexp.MustCompile(`(^|[\s,])` + regexp.QuoteMeta(name) + `([\s,]|$)`).MatchString(manual) {
				t.Errorf("the manual does not tell of %s", name)
			}
			w := newWorld(t)
			app := newApp(w.env)
			if c.is != nil {
				if got := w.asPM2(app, []string{"clusterctl", "-q", name, "x"}); c.hint != "" || !slices.Equal(got, slices.Concat([]string{"clusterctl", "-q"}, c.is, []string{"x"})) && app.Command(name) == nil {
					t.Errorf("%s became %q", name, got)
				}
				continue
			}
			if app.Command(name) != nil {
				continue // ours goes first
			}
			want := fmt.Sprintf("clusterctl: there is no command %q\nclusterctl: hint: %s\n", name, c.hint)
			for _, args := range [][]string{{name}, {name, "web", "--nope"}, {"-q", name, "web"}, {"help", name}} {
				if code := w.do(args...); code != exitUsage || w.err.String() != want || w.out.Len() > 0 || c.hint == "" {
					t.Errorf("%q: %d, %s%s", args, code, w.err.String(), w.out.String())
				}
			}
		}
	}
	// What PM2 has and we have by the same name, or by an alias of a command.
	for _, name := range []string{"start", "stop", "restart", "reset", "ls", "list", "l", "ps", "status", "show", "describe", "info", "delete", "del", "install", "uninstall"} {
		if newApp(&env{}).Command(name) == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

// pm2Manual is the section of the manual about PM2.
func pm2Manual(t *testing.T) string {
	t.Helper()
	_, section, found := strings.Cut(roff(t, "../../packaging/man/clusterctl.1"), "\n.SH COMING FROM PM2\n")
	section, _, ends := strings.Cut(section, "\n.SH ")
	if !found || !ends {
		t.Fatal("the manual has no section about PM2")
	}
	return strings.ReplaceAll(section, " , ", ", ")
}

// TestPM2Flags gives every flag of PM2 to an install: it is one of ours, or there is a hint and nothing else.
func TestPM2Flags(t *testing.T) {
	manual := pm2Manual(t)
	seen := map[string]bool{}
	install := newApp(&env{}).Command("install")
	for _, f := range pm2Flags() {
		for _, name := range f.names {
			dashed := "--" + name
			if len(name) == 1 {
				dashed = "-" + name
			}
			if seen[name] {
				t.Errorf("%s is there twice", dashed)
			}
			seen[name] = true
			if !regexp.MustCompile(`(^|[\s,])` + dashed + `([\s,]|$)`).MatchString(manual) {
				t.Errorf("the manual does not tell of %s", dashed)
			}
			known := slices.Concat(install.Flags, newApp(&env{}).Flags)
			if f.is != "" && findFlag(known, f.is) != nil || findFlag(known, name) != nil {
				continue // TestPM2SameFlags; a flag of ours goes first
			}
			w := newWorld(t)
			want := fmt.Sprintf("clusterctl: install has no flag %s\nclusterctl: hint: %s\n", dashed, f.hint)
			for _, args := range [][]string{{dashed}, {dashed, "x"}, {dashed + "=x"}} {
				args = slices.Concat([]string{"install", "app.js"}, args)
				if code := w.do(args...); code != exitUsage || w.err.String() != want || w.out.Len() > 0 || f.hint == "" {
					t.Errorf("%q: %d, %s%s", args, code, w.err.String(), w.out.String())
				}
			}
		}
	}
}

// TestPM2Hints: what a hint says to type is there to be typed.
func TestPM2Hints(t *testing.T) {
	app := newApp(&env{})
	var hints []string
	for _, c := range pm2Commands() {
		hints = append(hints, c.hint)
		if c.is != nil && app.Command(c.is[0]) == nil {
			t.Errorf("%q: there is no command %s", c.names, c.is[0])
		}
	}
	for _, f := range pm2Flags() {
		hints = append(hints, f.hint)
	}
	seen := 0
	for _, hint := range hints {
		for _, m := range regexp.MustCompile(`(?:^|sudo |"|' )clusterctl ([a-z-]+)`).FindAllStringSubmatch(hint, -1) {
			switch m[1] {
			case "has", "does", "puts", "keeps", "serves", "reports":
				continue // a sentence
			}
			seen++
			if app.Command(m[1]) == nil {
				t.Errorf("there is no command %s: %s", m[1], hint)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands in hints are looked at", seen)
	}
}

// TestPM2SameFlags: those of PM2 that mean what ours do.
func TestPM2SameFlags(t *testing.T) {
	for typed, want := range map[string]string{
		"--kill-timeout 1600":               "stop-timeout=1600000000 ",
		"--kill-timeout=1600":               "stop-timeout=1600000000 ",
		"-k 1600":                           "stop-timeout=1600000000 ",
		"-k 5s":                             "stop-timeout=5000000000 ",
		"--listen-timeout 8000":             "start-timeout=8000000000 ",
		"--listen-timeout 2m":               "start-timeout=120000000000 ",
		"--no-autorestart":                  `restart="no" `,
		"--stop-exit-codes 0":               `restart="on-failure" `,
		"--stop-exit-codes=0":               `restart="on-failure" `,
		"--uid www":                         `run-as="www" `,
		"-u www --gid web":                  `run-as="www:web" `,
		"--gid=web --name --uid -u=www":     `run-as="www:web" `,
		"--gid web --run-as www":            `run-as="www:web" `,
		"-s":                                "quiet=true",
		"--silent":                          "quiet=true",
		"--max-restarts 16":                 "max-restarts=16 ",
		"-i 0":                              `instances="0" `,
		"--node-args=--inspect":             `node-args="--inspect" `,
		"--interpreter node --cwd /srv/web": `cwd="/srv/web" `,
	} {
		app := newApp(&env{stdout: io.Discard, stderr: io.Discard})
		p := parse(normalise(app, slices.Concat([]string{"clusterctl", "install", "app.js"}, strings.Fields(typed))))
		if p.err != "" || !strings.Contains(p.flags, want) || !slices.Equal(p.operands, []string{"app.js"}) {
			t.Errorf("%s: %q, %q\n%s", typed, p.err, p.operands, p.flags)
		}
	}
	for typed, want := range map[string]string{
		"install x --stop-exit-codes 143":  "install has no flag --stop-exit-codes\nhint: " + pm2FlagHint("stop-exit-codes"),
		"install x --stop-exit-codes=1":    "install has no flag --stop-exit-codes\nhint: " + pm2FlagHint("stop-exit-codes"),
		"install x --gid web":              "install has no flag --gid\nhint: --run-as USER:GROUP",
		"install x --kill-timeout soon":    "--stop-timeout: \"soon\" is not a time\nhint: --stop-timeout 500ms, 30s or 2m",
		"start web --kill-timeout 3000":    "start has no flag --kill-timeout\nhint: it is --stop-timeout of \"clusterctl install\"",
		"start web --no-autorestart":       "start has no flag --no-autorestart\nhint: it is --restart no of \"clusterctl install\"",
		"install x --env production -- ls": "--env \"production\" has no \"=\"\nhint: --env production=VALUE; what PM2 calls --env production, a section of its file, is --env NODE_ENV=production here",
		"install x -e err.log -- ls":       "--env \"err.log\" has no \"=\"\nhint: -e is --env here; " + pm2FlagHint("error"),
		"install x -l /tmp/a.log -- ls":    "--listen \"/tmp/a.log\" is a log file\nhint: " + pm2FlagHint("log"),
		"install x --restart alway -- ls":  "restart: \"alway\" is not one of always, on-failure, no\nhint: did you mean --restart always?",
		"install x --drain of -- ls":       "--drain \"of\" is not one of auto, epoll, accept, off\nhint: did you mean --drain off?",
		"install x --sandbox stric -- ls":  "sandbox: \"stric\" is not one of default, strict, off\nhint: did you mean --sandbox strict?",
		"install pm2-logrotate":            "\"pm2-logrotate\" is a module of PM2\nhint: " + pm2CommandHint("module:install"),
		"start npm -- start":               "in front of -- stands the name of the app, and \"start\" is not a program\nhint: sudo clusterctl install NAME -- npm start, or \"sudo clusterctl install .\" for a directory with a package.json",
		"stop web.js":                      "there is no app \"web.js\"\nhint: did you mean web?",
	} {
		w := newWorld(t)
		w.path["npm"], w.path["ls"] = "/usr/bin/npm", "/bin/ls"
		w.installed(t, "web", 1)
		want = "clusterctl: " + strings.ReplaceAll(want, "\n", "\nclusterctl: ") + "\n"
		if w.do(strings.Fields(typed)...); w.err.String() != want || w.out.Len() > 0 {
			t.Errorf("%s:\n%swant\n%s", typed, w.err.String(), want)
		}
	}
}

// TestPM2Start: "start" starts an app that is there, and installs a program.
func TestPM2Start(t *testing.T) {
	w := newWorld(t)
	w.installed(t, "web", 1)
	w.installed(t, "app.js", 1)
	file := w.file(t, "wd/server", "", 0o755)
	for typed, want := range map[string]string{
		"start web":                    "start",
		"start":                        "start",
		"start web@1":                  "start",
		"start all":                    "start",
		"start web*":                   "start",
		"start /we/":                   "start",
		"start wbe":                    "start",
		"start app.js":                 "start", // an app has that name
		"start server.js -i 4":         "install",
		"start -i 4 server.js":         "install",
		"-q start server.py -n web":    "install",
		"start ./server":               "install",
		"start " + file:                "install",
		"start .":                      "install",
		"start ecosystem.config.js":    "install",
		"start hello -l 8080 -- serve": "install",
		"restart server.js":            "restart",
	} {
		args := append([]string{"clusterctl"}, strings.Fields(typed)...)
		args, w.command, w.hasCommand = splitCommand(args)
		got := w.asPM2(newApp(w.env), args)
		app := newApp(w.env)
		if at := commandAt(app, got); at < 0 || got[at] != want {
			t.Errorf("%s: %q", typed, got)
		}
	}
	for _, name := range []string{"ecosystem.config.js", "process.json", "app.config.cjs", "ecosystem.yml"} {
		path := w.file(t, "wd/"+name, "", 0o644)
		want := fmt.Sprintf("clusterctl: %q describes apps, and is not a program\nclusterctl: hint: sudo clusterctl install app.js ", path)
		if code := w.do("start", path, "-i", "max"); code != exitUsage || !strings.HasPrefix(w.err.String(), want) {
			t.Errorf("%d, %s", code, w.err.String())
		}
	}
}

// TestFlagsOfOthers: a flag that another command has is told to be of that.
func TestFlagsOfOthers(t *testing.T) {
	app := newApp(&env{})
	if got := commandsWith(app, "keep-logs"); !slices.Equal(got, []string{`"clusterctl uninstall"`}) {
		t.Errorf("%q", got)
	}
	app.Commands = append(app.Commands, &cli.Command{Name: "x", Hidden: true, Flags: []cli.Flag{&cli.BoolFlag{Name: "keep-logs"}}})
	if got := commandsWith(app, "keep-logs"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
