package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/urfave/cli/v2"
)

// pm2Command is a command of PM2 by all its names there. Either it means what one of ours does, or a hint says what to do
// instead. A name that means the same here and there needs no entry.
type pm2Command struct {
	names []string
	// is are the words of ours that take its place.
	is   []string
	hint string
}

// pm2Commands is all that PM2 7 has. The manual has the same in words, under COMING FROM PM2.
func pm2Commands() []pm2Command {
	const (
		atBoot = "not needed: an installed app is enabled, and systemd starts it at boot"
		saas   = "clusterctl reports to nobody; \"clusterctl ls --json\" has the figures for your own monitoring"
		module = "clusterctl has no modules; journald rotates the logs, systemd-cgtop shows what each app uses"
		config = "clusterctl has no settings of its own; an app's are in /etc/clusterctl/NAME.yaml, \"clusterctl cat NAME\" prints them"
		speak  = "clusterctl does not speak to workers but by signals and their socket; \"clusterctl signal SIGNAL NAME\" sends one"
		deploy = "copy the release with the tool you have, then \"sudo clusterctl reload NAME\" on the machine"
		file   = "with one app, \"sudo clusterctl install app.js\" starts it and, when it is there, updates it; with a file, \"sudo clusterctl apply\""
		screen = "clusterctl ls --watch; systemd-cgtop shows CPU and memory, \"clusterctl logs\" follows the logs"
	)
	return []pm2Command{
		{names: []string{"delete", "del"}, is: []string{"uninstall"}},
		{names: []string{"list", "l", "ps", "status"}, is: []string{"ls"}},
		{names: []string{"jlist", "prettylist"}, is: []string{"ls", "--json"}},
		{names: []string{"describe", "desc", "info"}, is: []string{"show"}},
		{names: []string{"sendSignal"}, is: []string{"signal"}},
		{names: []string{"gracefulReload"}, is: []string{"reload"}},
		{names: []string{"startOrRestart", "startOrReload", "startOrGracefulReload"}, hint: file},
		{names: []string{"create"}, hint: "sudo clusterctl install app.js"},

		{names: []string{"startup", "unstartup", "dump", "save", "cleardump", "resurrect"}, hint: atBoot},
		{names: []string{"kill"}, hint: "there is no daemon to end; \"sudo clusterctl stop all\" stops every app"},
		{names: []string{"ping"}, hint: "there is no daemon; \"clusterctl ls\" asks systemd"},
		{names: []string{"update", "updatePM2", "deepUpdate"}, hint: "not needed: there is no daemon, and a new clusterctl counts from the next command on; after a new release of a program, \"sudo clusterctl reload NAME\""},
		{names: []string{"id", "pid"}, hint: "apps have names and no numbers; \"clusterctl show NAME\" has the pid of each instance"},

		{names: []string{"slist", "sysinfos"}, hint: "systemd-cgtop, or \"clusterctl ls --json\""},
		{names: []string{"inspect"}, hint: "clusterctl show NAME"},
		{names: []string{"report"}, hint: "clusterctl version, and \"clusterctl show NAME\""},
		{names: []string{"monit", "imonit", "dashboard", "dash"}, hint: screen},
		{names: []string{"reloadLogs", "logrotate"}, hint: "not needed: the journal rotates itself, SystemMaxUse= in journald.conf(5) bounds it, \"journalctl --vacuum-size=1G\" shrinks it now"},

		{names: []string{"attach", "send", "trigger"}, hint: speak},
		{names: []string{"profile:mem", "profile:cpu"}, hint: "start the program with its own profiler: sudo clusterctl install app.js --node-args=--cpu-prof"},
		{names: []string{"deploy", "pull", "forward"}, hint: deploy},
		{names: []string{"backward"}, hint: "sudo clusterctl rollback NAME takes the app's description back; " + deploy},
		{names: []string{"set", "multiset", "get", "conf", "config", "unset"}, hint: config},
		{names: []string{"ecosystem", "init"}, hint: "\"sudo clusterctl install app.js\" writes the description, \"clusterctl cat NAME\" prints it"},
		{names: []string{"autoinstall", "examples"}, hint: "clusterctl help install"},

		{names: []string{"module:install", "module:update", "module:generate", "module:uninstall", "module:publish", "install-otel", "uninstall-otel"}, hint: module},
		{names: []string{"publish"}, hint: "\"clusterctl package NAME\" makes a Debian package of an app, which a repository of yours can hold"},
		{names: []string{"link", "unlink", "monitor", "unmonitor", "open", "plus", "register", "login", "logout"}, hint: saas},
		{names: []string{"serve", "expose"}, hint: "sudo clusterctl install site --cwd DIR --listen 8080 -- python3 -m http.server 8080"},
	}
}

// asPM2 replaces a command of PM2 by ours, where one means the same. Flags may stand in front of it.
func (e *env) asPM2(app *cli.App, args []string) []string {
	at := wordAt(app, args)
	if at < 0 {
		return args
	}
	if args[at] == "start" {
		if e.startsProgram(app, args, at) {
			args = slices.Clone(args)
			args[at] = "install"
		}
		return args
	}
	if app.Command(args[at]) != nil {
		return args
	}
	if is := pm2Equivalent(args[at]); is != nil && app.Command(is[0]) != nil {
		return slices.Concat(args[:at], is, args[at+1:])
	}
	return args
}

// pm2Equivalent are the words of ours that mean the same as a command of PM2, or nil.
func pm2Equivalent(name string) []string {
	for _, c := range pm2Commands() {
		if slices.Contains(c.names, name) {
			return c.is
		}
	}
	return nil
}

// startsProgram finds out whether "start WHAT" is PM2's, which takes a program as well: WHAT is no app, and looks like a
// file, or a program follows behind "--".
func (e *env) startsProgram(app *cli.App, args []string, at int) bool {
	known := slices.Concat(app.Command("install").Flags, app.Flags)
	_, operands := takeFlags(known, args[at+1:], false)
	switch {
	case len(operands) == 0:
		return false
	case e.hasCommand:
		return true
	}
	what := operands[0]
	if found, err := e.resolve(operands[:1]); err == nil && len(found) > 0 || isRegexp(what) {
		return false
	}
	if what == "." || what == ".." || strings.Contains(what, "/") || interpretersFor(filepath.Ext(what)) != nil || pm2File(what) {
		return true
	}
	info, err := os.Stat(what)
	return err == nil && info.Mode().IsRegular()
}

// pm2File finds the files in which PM2 has its apps described, which are not programs though Node would run some of them.
func pm2File(path string) bool {
	base := strings.ToLower(filepath.Base(path))
	for _, suffix := range []string{".config.js", ".config.cjs", ".config.mjs", ".json"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return strings.HasPrefix(base, "ecosystem.") || strings.HasPrefix(base, "pm2.")
}

// pm2CommandHint is what to do instead of a command of PM2 that means nothing here, or "".
func pm2CommandHint(name string) string {
	for _, c := range pm2Commands() {
		if slices.Contains(c.names, name) {
			return c.hint
		}
	}
	return ""
}

// refusePM2 finds what PM2 takes for something else than clusterctl: its own files, the names of its modules, and a program
// in front of "--", where the name of the app stands here.
func (e *env) refusePM2(target string, rest []string) error {
	info, err := os.Stat(target)
	switch {
	case err == nil && info.Mode().IsRegular() && len(rest) == 0 && pm2File(target):
		return fault.WithHint(fault.Usagef("%q describes apps, and is not a program", target),
			"sudo clusterctl install app.js -i max, for each app in it; \"sudo clusterctl install NAME -- node FILE\" runs a file whatever it is called")
	case err == nil:
		return nil
	case len(rest) == 0 && strings.HasPrefix(target, "pm2-"):
		return fault.WithHint(fault.Usagef("%q is a module of PM2", target), "%s", pm2CommandHint("module:install"))
	case len(rest) == 0 || strings.ContainsAny(target+rest[0], "/."):
		return nil
	}
	if _, err := e.lookPath(rest[0]); err == nil {
		return nil
	}
	if _, err := e.lookPath(target); err != nil {
		return nil
	}
	words := []string{text.Shell(target)}
	for _, w := range rest {
		words = append(words, text.Shell(w))
	}
	return fault.WithHint(fault.Usagef("in front of -- stands the name of the app, and %q is not a program", rest[0]),
		"sudo clusterctl install NAME -- %s, or \"sudo clusterctl install .\" for a directory with a package.json", strings.Join(words, " "))
}
