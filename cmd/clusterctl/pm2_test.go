package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/pm2"
)

// TestPM2Commands runs every command of PM2. Each command must exist in clusterctl, or end with a hint.
func TestPM2Commands(t *testing.T) {
	manual := pm2Manual(t)
	for _, c := range pm2.Entries(pm2.Command) {
		for _, name := range c.Names {
			if !regexp.MustCompile(`(^|[\s,])` + regexp.QuoteMeta(name) + `([\s,]|$)`).MatchString(manual) {
				t.Errorf("the manual does not have %s", name)
			}
			w := newWorld(t)
			if newApp(w.env).Command(name) != nil {
				t.Errorf("%s is a command of clusterctl, and must not have an entry", name)
			}
			if c.Same != nil {
				continue // TestTranslate in internal/cmdline tests this command
			}
			want := fmt.Sprintf("clusterctl: unknown command %q\nclusterctl: hint: %s\n", name, c.Hint)
			for _, args := range [][]string{{name}, {name, "web", "--nope"}, {"-q", name, "web"}, {"help", name}} {
				if code := w.do(args...); code != exitUsage || w.err.String() != want || w.out.Len() > 0 {
					t.Errorf("%q: got status %d, stderr %s, stdout %s", args, code, w.err.String(), w.out.String())
				}
			}
		}
	}
	// These commands have the same name or alias in PM2 and clusterctl.
	for _, name := range []string{
		"start", "stop", "restart", "reset", "ls", "list", "l", "ps", "status",
		"show", "describe", "info", "delete", "del", "install", "uninstall",
	} {
		if newApp(&env{}).Command(name) == nil {
			t.Errorf("the command %s is missing", name)
		}
	}
}

// pm2Manual returns the section of the manual about PM2.
func pm2Manual(t *testing.T) string {
	t.Helper()
	_, section, found := strings.Cut(roff(t, "../../packaging/man/clusterctl.1"), "\n.SH COMING FROM PM2\n")
	section, _, ends := strings.Cut(section, "\n.SH ")
	if !found || !ends {
		t.Fatal("the manual has no section COMING FROM PM2")
	}
	return strings.ReplaceAll(section, " , ", ", ")
}

// TestPM2Flags passes every flag of PM2 to install. Each flag must exist in clusterctl, or end with a hint.
func TestPM2Flags(t *testing.T) {
	manual := pm2Manual(t)
	app := newApp(&env{})
	known := slices.Concat(app.Command("install").Flags, app.Flags)
	has := func(name string) bool {
		return slices.ContainsFunc(known, func(f cmdline.Flag) bool { return f.Name == name || f.Short == name })
	}
	for _, f := range pm2.Entries(pm2.Flag) {
		for _, name := range f.Names {
			dashed := "--" + name
			if len(name) == 1 {
				dashed = "-" + name
			}
			if !regexp.MustCompile(`(^|[\s,])` + dashed + `([\s,]|$)`).MatchString(manual) {
				t.Errorf("the manual does not have %s", dashed)
			}
			if f.Same != nil && has(f.Same[0]) || has(name) {
				// TestPM2SameFlags in internal/cmdline tests a flag that is replaced. A flag of clusterctl is not replaced.
				continue
			}
			w := newWorld(t)
			hint := f.Hint
			if hint == "" {
				hint = "use --" + f.Same[0] + " of "
			}
			want := fmt.Sprintf("clusterctl: install: unknown flag %s\nclusterctl: hint: %s", dashed, hint)
			for _, args := range [][]string{{dashed}, {dashed, "x"}, {dashed + "=x"}} {
				args = slices.Concat([]string{"install", "app.js"}, args)
				if code := w.do(args...); code != exitUsage || !strings.HasPrefix(w.err.String(), want) || w.out.Len() > 0 {
					t.Errorf("%q: got status %d, stderr %s, stdout %s", args, code, w.err.String(), w.out.String())
				}
			}
		}
	}
}

// TestPM2Hints checks that every command that a hint names exists.
func TestPM2Hints(t *testing.T) {
	app := newApp(&env{})
	var hints []string
	for _, e := range slices.Concat(pm2.Entries(pm2.Command), pm2.Entries(pm2.Flag)) {
		hints = append(hints, e.Hint)
	}
	for _, c := range pm2.Entries(pm2.Command) {
		if c.Same != nil && app.Command(c.Same[0]) == nil {
			t.Errorf("%q: the command %s does not exist", c.Names, c.Same[0])
		}
	}
	seen := 0
	for _, hint := range hints {
		for _, m := range regexp.MustCompile(`(?:^|sudo |"|' )clusterctl ([a-z-]+)`).FindAllStringSubmatch(hint, -1) {
			switch m[1] {
			case "has", "does", "puts", "keeps", "serves", "sends":
				continue // a sentence
			}
			seen++
			if app.Command(m[1]) == nil {
				t.Errorf("the command %s does not exist: %s", m[1], hint)
			}
		}
	}
	if seen < 20 {
		t.Errorf("got only %d commands in hints", seen)
	}
}

// TestPM2Mistakes checks the hints for arguments that PM2 accepts in a form that clusterctl refuses.
func TestPM2Mistakes(t *testing.T) {
	hint := func(kind pm2.Kind, name string) string {
		e, _ := pm2.Lookup(kind, name)
		return e.Hint
	}
	for typed, want := range map[string]string{
		"install x --stop-exit-codes 143": "install: unknown flag --stop-exit-codes\nhint: " + hint(pm2.Flag, "stop-exit-codes"),
		"install x --stop-exit-codes=1":   "install: unknown flag --stop-exit-codes\nhint: " + hint(pm2.Flag, "stop-exit-codes"),
		"install x --gid web":             "install: unknown flag --gid\nhint: --run-as USER:GROUP",
		"install x --kill-timeout soon":   "--stop-timeout: \"soon\" is not a duration\nhint: --stop-timeout 500ms, 30s or 2m",
		"start web --kill-timeout 3000": "start: unknown flag --kill-timeout" +
			"\nhint: use --stop-timeout of \"clusterctl install\", \"clusterctl generate\"",
		"start web --no-autorestart": "start: unknown flag --no-autorestart" +
			"\nhint: use --restart no of \"clusterctl install\", \"clusterctl generate\"",
		"install x --env production -- ls": "--env \"production\" has no \"=\"" +
			"\nhint: --env production=VALUE; instead of --env production of PM2: --env NODE_ENV=production",
		"install x -e err.log -- ls":      "--env \"err.log\" has no \"=\"\nhint: -e means --env in clusterctl; " + hint(pm2.Flag, "error"),
		"install x -l /tmp/a.log -- ls":   "--listen \"/tmp/a.log\" is a log file\nhint: " + hint(pm2.Flag, "log"),
		"install x --restart alway -- ls": "restart: \"alway\" is not one of always, on-failure, no\nhint: did you mean --restart always?",
		"install x --drain of -- ls":      "--drain: \"of\" is not one of auto, epoll, accept, off\nhint: did you mean --drain off?",
		"install x --sandbox stric -- ls": "sandbox: \"stric\" is not one of default, strict, off\nhint: did you mean --sandbox strict?",
		"install pm2-logrotate":           "\"pm2-logrotate\" is a module of PM2\nhint: " + hint(pm2.Command, "module:install"),
		"start npm -- start": "\"start\" is not a program; the word before -- is the name of the app" +
			"\nhint: sudo clusterctl install NAME -- npm start, or \"sudo clusterctl install .\" for a directory with a package.json",
		"stop web.js": "there is no app \"web.js\"\nhint: did you mean web?",
	} {
		w := newWorld(t)
		w.path["npm"], w.path["ls"] = "/usr/bin/npm", "/bin/ls"
		w.installApp(t, "web", 1)
		want = "clusterctl: " + strings.ReplaceAll(want, "\n", "\nclusterctl: ") + "\n"
		if w.do(strings.Fields(typed)...); w.err.String() != want || w.out.Len() > 0 {
			t.Errorf("%s: got\n%swant\n%s", typed, w.err.String(), want)
		}
	}
}

// TestPM2Start checks that "start" starts an installed app and installs a program.
func TestPM2Start(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 1)
	w.installApp(t, "app.js", 1)
	file := w.file(t, "wd/server", "", 0o755)
	for typed, want := range map[string]string{
		"start web":                    "start",
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
		app, ran := newApp(w.env), ""
		for _, cmd := range app.Commands {
			cmd.Run = func(context.Context, cmdline.Input) error {
				ran = cmd.Name
				return nil
			}
		}
		args := append([]string{"clusterctl"}, strings.Fields(typed)...)
		_, w.command = cmdline.SplitProgram(args)
		if err := app.Run(t.Context(), args); ran != want {
			t.Errorf("%s: got command %q, error %v", typed, ran, err)
		}
	}
	for _, name := range []string{"ecosystem.config.js", "process.json", "app.config.cjs", "ecosystem.yml"} {
		path := w.file(t, "wd/"+name, "", 0o644)
		want := fmt.Sprintf("clusterctl: %q is a PM2 file that describes apps, not a program\nclusterctl: hint: for each app", path)
		if code := w.do("start", path, "-i", "max"); code != exitUsage || !strings.HasPrefix(w.err.String(), want) {
			t.Errorf("got status %d, stderr %s", code, w.err.String())
		}
	}
}
