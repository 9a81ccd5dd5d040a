package main

import (
	"path/filepath"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/pm2"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
)

// startsProgram reports whether "start WHAT" installs a program, as in PM2: a program follows "--", or WHAT looks like a
// file and is not the name of an app.
func (e *env) startsProgram(operands []string) bool {
	if e.hasCommand {
		return true
	}
	what := operands[0]
	if found, err := e.resolve(operands[:1]); err == nil && len(found) > 0 || isRegexp(what) {
		return false
	}
	if what == "." || what == ".." || strings.Contains(what, "/") || resolve.Interpreters(filepath.Ext(what)) != nil ||
		pm2.DescribesApps(what) {
		return true
	}
	info, err := e.stat(what)
	return err == nil && info.Mode().IsRegular()
}

// refusePM2 returns an error for arguments that PM2 understands and clusterctl does not: a PM2 file that describes apps, the
// name of a PM2 module, and a program before "--", where clusterctl expects the name of the app.
func (e *env) refusePM2(target string, rest []string) error {
	info, err := e.stat(target)
	switch {
	case err == nil && info.Mode().IsRegular() && len(rest) == 0 && pm2.DescribesApps(target):
		return fault.WithHint(fault.Usagef("%q is a PM2 file that describes apps, not a program", target),
			"for each app in it: sudo clusterctl install app.js -i max; to run the file itself: sudo clusterctl install NAME -- node FILE")
	case err == nil:
		return nil
	case len(rest) == 0 && strings.HasPrefix(target, "pm2-"):
		is, _ := pm2.Lookup(pm2.Command, "module:install")
		return fault.WithHint(fault.Usagef("%q is a module of PM2", target), "%s", is.Hint)
	case len(rest) == 0 || strings.ContainsAny(target+rest[0], "/."):
		return nil
	}
	if _, err := e.lookPath(rest[0]); err == nil {
		return nil
	}
	if _, err := e.lookPath(target); err != nil {
		return nil
	}
	return fault.WithHint(fault.Usagef("%q is not a program; the word before -- is the name of the app", rest[0]),
		"sudo clusterctl install NAME -- %s, or \"sudo clusterctl install .\" for a directory with a package.json",
		text.ShellLine(append([]string{target}, rest...)))
}
