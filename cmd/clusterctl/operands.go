package main

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/pm2"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// An operand is a whole app, or one of its instances.
type operand struct {
	name     units.Name
	instance int // 0 means the whole app
	// The field implied means that a pattern or "all" matched the operand. If a command cannot do its work for an implied
	// operand, it skips the operand without an error.
	implied bool
}

func (o operand) String() string {
	if o.instance > 0 {
		return fmt.Sprintf("%s@%d", o.name, o.instance)
	}
	return string(o.name)
}

// The method resolve returns the apps and instances that the user asked for in words. A word is NAME, NAME@3, all, a glob
// (web*, web@*, *@1), or /regex/ as in PM2. The result is in the order of the words. The matches of one pattern are sorted
// by name and number. The method does not read the configuration of the apps, so it also returns apps whose configuration is
// invalid.
func (e *env) resolve(words []string) ([]operand, error) {
	apps, err := e.store.Apps()
	if err != nil {
		return nil, err
	}
	var all []operand
	var errs []error
	for _, w := range words {
		found, err := e.resolveOne(w, apps)
		errs = append(errs, err)
		all = append(all, found...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		e.note("no app is installed")
	}
	return withoutDuplicates(all), nil
}

// withoutDuplicates removes duplicates. It also removes an instance (shop@2) if the list contains its whole app (shop).
func withoutDuplicates(all []operand) []operand {
	type key struct {
		name     units.Name
		instance int
	}
	whole, seen := map[units.Name]bool{}, map[key]bool{}
	for _, o := range all {
		whole[o.name] = whole[o.name] || o.instance == 0
	}
	return slices.DeleteFunc(all, func(o operand) bool {
		k := key{o.name, o.instance}
		again := seen[k]
		seen[k] = true
		return again || o.instance > 0 && whole[o.name]
	})
}

// isPattern reports whether a word can match several names.
func isPattern(word string) bool {
	return word == "all" || isRegexp(word) || strings.ContainsAny(word, "*?[")
}

func isRegexp(word string) bool { return len(word) > 2 && word[0] == '/' && word[len(word)-1] == '/' }

func (e *env) resolveOne(word string, apps []units.Name) ([]operand, error) {
	switch {
	case word == "all":
		return wholes(apps), nil
	case isRegexp(word):
		return e.resolveRegexp(word, apps)
	case strings.ContainsAny(word, "*?["):
		return e.resolveGlob(word, apps)
	}
	n, i, err := units.ParseInstance(word)
	if err != nil {
		if _, notNumber := strconv.Atoi(word); notNumber == nil {
			return nil, fault.WithHint(err, "use the name of an app, which clusterctl ls lists; instance 3 of web is web@3")
		}
		return nil, err
	}
	if !slices.Contains(apps, n) {
		return nil, &install.NotInstalledError{App: n, Apps: apps}
	}
	if i > 0 {
		listed, err := e.store.Listed(n)
		if err != nil {
			return nil, err
		}
		if i > listed {
			return nil, fault.WithHint(fmt.Errorf("%s has no instance %d", n, i), "%s", instancesThereAre(n, listed))
		}
	}
	return []operand{{name: n, instance: i}}, nil
}

func instancesThereAre(n units.Name, listed int) string {
	if listed == 1 {
		return fmt.Sprintf("it has only %s@1", n)
	}
	return fmt.Sprintf("it has %s@1 to %[1]s@%d", n, listed)
}

func wholes(apps []units.Name) []operand {
	out := make([]operand, 0, len(apps))
	for _, n := range apps {
		out = append(out, operand{name: n, implied: true})
	}
	return out
}

// resolveRegexp returns the apps whose names match /regex/, as in PM2.
func (e *env) resolveRegexp(word string, apps []units.Name) ([]operand, error) {
	re, err := regexp.Compile(word[1 : len(word)-1])
	if err != nil {
		why := err.Error()
		if bad, ok := errors.AsType[*syntax.Error](err); ok {
			why = bad.Code.String()
		}
		return nil, fault.Usagef("invalid regular expression %q: %s", word, why)
	}
	matching := slices.DeleteFunc(slices.Clone(apps), func(n units.Name) bool { return !re.MatchString(string(n)) })
	if len(matching) == 0 {
		return nil, nothingMatches(word, apps)
	}
	return wholes(matching), nil
}

func (e *env) resolveGlob(word string, apps []units.Name) ([]operand, error) {
	appGlob, numberGlob, instances := strings.Cut(strings.TrimSuffix(word, ".service"), "@")
	if appGlob == "all" {
		appGlob = "*"
	}
	for _, g := range []string{appGlob, numberGlob} {
		if _, err := path.Match(g, ""); err != nil || strings.Contains(g, "/") {
			return nil, fault.WithHint(fault.Usagef("invalid pattern %q", word),
				"* matches any text, ? one character, [a-c] one of a, b and c: 'web*', 'web@[1-3]'")
		}
	}
	var found []operand
	someApp := false
	for _, n := range apps {
		if ok, _ := path.Match(appGlob, string(n)); !ok {
			continue
		}
		someApp = true
		if !instances {
			found = append(found, operand{name: n, implied: true})
			continue
		}
		listed, err := e.store.Listed(n)
		if err != nil {
			return nil, err
		}
		for i := 1; i <= listed; i++ {
			if ok, _ := path.Match(numberGlob, strconv.Itoa(i)); ok {
				found = append(found, operand{name: n, instance: i, implied: true})
			}
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case someApp:
		return nil, fault.WithHint(fmt.Errorf("no instance matches %q", word), "clusterctl show NAME lists the instances of an app")
	}
	return nil, nothingMatches(word, apps)
}

// nothingMatches returns the error for a pattern that matches no app. The hint of the error names at most 10 apps.
func nothingMatches(word string, apps []units.Name) error {
	err := fmt.Errorf("no app matches %q", word)
	if len(apps) == 0 {
		return fault.WithHint(err, install.NoAppsHint)
	}
	const most = 10
	names := asStrings(apps[:min(len(apps), most)])
	if len(apps) > most {
		names = append(names, fmt.Sprintf("and %d more", len(apps)-most))
	}
	return fault.WithHint(err, "the installed apps are: %s", strings.Join(names, ", "))
}

// A target is an operand with the configuration of its app.
type target struct {
	app      units.App
	listed   int
	instance int // 0 means the whole app
	implied  bool
}

func (t target) String() string {
	return operand{name: t.app.Name, instance: t.instance}.String()
}

// The method targets returns the apps and instances of the method resolve, with the configuration of each app.
func (e *env) targets(words []string) ([]target, error) {
	operands, err := e.resolve(words)
	if err != nil {
		return nil, err
	}
	var out []target
	var errs []error
	for _, o := range operands {
		t := target{instance: o.instance, implied: o.implied}
		if t.app, err = e.store.Load(o.name); err == nil {
			t.listed, err = e.store.Listed(o.name)
		}
		out, errs = append(out, t), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

func asStrings[S ~string](list []S) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// startsProgram reports whether "start WHAT" installs a program, as in PM2. This is the case if a program follows "--", or
// if WHAT looks like a file and is not the name of an app.
func (e *env) startsProgram(operands []string) bool {
	if e.command != nil {
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
			"for each app in the file: sudo clusterctl install app.js -i max; to run the file itself: sudo clusterctl "+
				"install NAME -- node FILE")
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
