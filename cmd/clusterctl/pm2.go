package main

import (
	"path/filepath"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/pm2"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
)

// startsProgram reports whether "start WHAT" starts a program, as in PM2: WHAT is not an app, and looks like a file, or a
// program follows "--".
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

// refusePM2 finds what PM2 takes for something else than clusterctl: its own files, the names of its modules, and a program
// in front of "--", where the name of the app stands here.
func (e *env) refusePM2(target string, rest []string) error {
	info, err := e.stat(target)
	switch {
	case err == nil && info.Mode().IsRegular() && len(rest) == 0 && pm2.DescribesApps(target):
		return fault.WithHint(fault.Usagef("%q is not a program, but a file of PM2 that describes apps", target),
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
	words := []string{text.Shell(target)}
	for _, w := range rest {
		words = append(words, text.Shell(w))
	}
	return fault.WithHint(fault.Usagef("%q is not a program; the word before -- is the name of the app", rest[0]),
		"sudo clusterctl install NAME -- %s, or \"sudo clusterctl install .\" for a directory with a package.json",
		strings.Join(words, " "))
}
