package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

func TestResolve(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 3)
	w.installApp(t, "web-api", 1)
	w.installApp(t, "mail", 12)
	// The name of a damaged app is valid, because ls lists the app and uninstall removes it.
	w.file(t, "config/bad.yaml", "{", 0o644)
	for words, want := range map[string]string{
		"web":                       "web",
		"web.service web@2.service": "web",
		"web@2.service":             "web@2",
		"web@3 mail web@1":          "web@3 mail web@1",
		"web web@1 web":             "web",
		"web@1 mail web":            "mail web",
		"web@1 web":                 "web",
		"mail@2 mail@2":             "mail@2",
		"all":                       "bad mail web web-api",
		"web all":                   "web bad mail web-api",
		"web*":                      "web web-api",
		"web?api":                   "web-api",
		"[mw]*":                     "mail web web-api",
		"web@*":                     "web@1 web@2 web@3",
		"mail@1*":                   "mail@1 mail@10 mail@11 mail@12",
		"web*@1":                    "web@1 web-api@1",
		"web@[2-9] web*":            "web web-api",
		"/^web/":                    "web web-api",
		"/^(web|mail)$/":            "mail web",
		"bad":                       "bad",
		"":                          `usage: name: is empty`,
		"nothing":                   "gone: there is no app \"nothing\"\nhint: clusterctl ls lists the apps",
		"nothing web@4": "gone: there is no app \"nothing\"\nhint: clusterctl ls lists the apps\n" +
			"web has no instance 4\nhint: it has web@1 to web@3",
		"web-api@2": "web-api has no instance 2\nhint: it has only web-api@1",
		"web@0":     `usage: name: "web@0" does not end in an instance number (1-1000)`,
		"0": "usage: name: \"0\" has no letter\n" +
			"hint: use the name of an app, which clusterctl ls lists; instance 3 of web is web@3",
		"zz*":    "no app matches \"zz*\"\nhint: the installed apps are: bad, mail, web, web-api",
		"web@9*": "no instance matches \"web@9*\"\nhint: clusterctl show NAME lists the instances of an app",
		"/zz/":   "no app matches \"/zz/\"\nhint: the installed apps are: bad, mail, web, web-api",
		"/(/":    `usage: invalid regular expression "/(/": missing closing )`,
		"web[": "usage: invalid pattern \"web[\"\n" +
			"hint: * matches any text, ? one character, [a-c] one of a, b and c: 'web*', 'web@[1-3]'",
		"../*": "usage: invalid pattern \"../*\"\nhint: * matches any text, ? one character, " +
			"[a-c] one of a, b and c: 'web*', 'web@[1-3]'",
		"/":             `usage: name: "/" does not begin with a letter or a digit`,
		"web@* all":     "bad mail web web-api", // the instances are part of the app
		"*@1":           "the instance list of bad",
		"[mw]*@1":       "mail@1 web@1 web-api@1",
		"web@?.service": "web@1 web@2 web@3",
	} {
		got, err := w.resolve(strings.Split(words, " "))
		var text []string
		for _, o := range got {
			text = append(text, o.String())
		}
		if err != nil {
			text = []string{errorText(w, err)}
		}
		if s := strings.Join(text, " "); s != want && !(strings.HasPrefix(want, "the instance list") && strings.HasPrefix(s, want)) {
			t.Errorf("%q: got %q, want %q", words, s, want)
		}
	}
}

// errorText returns the kind of an error, its text and its hints.
func errorText(w *world, err error) string {
	var usage *fault.UsageError
	var field *units.FieldError
	var gone *install.NotInstalledError
	kind := ""
	switch {
	case errors.As(err, &usage), errors.As(err, &field):
		kind = "usage: "
	case errors.As(err, &gone):
		kind = "gone: "
	}
	var lines []string
	for _, one := range fault.Flatten(err) {
		if one == nil {
			continue
		}
		lines = append(lines, one.Error())
		if hint := fault.Hint(one); hint != "" {
			lines = append(lines, "hint: "+hint)
		}
	}
	return kind + strings.Join(lines, "\n")
}

// TestResolveByPattern checks that an operand is implied if a pattern matched it, and is not implied if the user gave its
// name.
func TestResolveByPattern(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 2)
	got, err := w.resolve([]string{"web@2", "web@*"})
	if err != nil || len(got) != 2 || got[0].implied || !got[1].implied || got[1].instance != 1 {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestResolveWithoutApps(t *testing.T) {
	w := newWorld(t)
	got, err := w.resolve([]string{"all"})
	if err != nil || len(got) != 0 || w.err.String() != "no app is installed\n" {
		t.Errorf("got %v, error %v, stderr %q", got, err, w.err.String())
	}
	// If no app is installed, a command does not connect to systemd.
	if code := w.do("stop", "all"); code != exitDone {
		t.Errorf("got status %d, stderr %s", code, w.err.String())
	}
	if _, err := w.resolve([]string{"web*"}); errorText(w,
		err) != "no app matches \"web*\"\nhint: no app is installed yet; clusterctl install FILE installs one" {
		t.Error(errorText(w, err))
	}
}

// TestResolveProperty resolves random words, and checks that each operand exists and is unique, and that the result does not
// contain both an app and its instance.
func TestResolveProperty(t *testing.T) {
	w := newWorld(t)
	listed := map[units.Name]int{"a": 2, "ab": 1, "b-c": 11}
	for n, k := range listed {
		w.installApp(t, n, k)
	}
	word := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "ab", "b-c", "a@1", "b-c@11", "all", "*", "a*", "*@1", "?", "b-c@1?", "/b/", "*@*", "zz"}),
		rapid.StringMatching(`[ab*?@1\[\]/-]{0,5}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		got, err := w.resolve(rapid.SliceOfN(word, 1, 4).Draw(t, "words"))
		if err != nil {
			if got != nil {
				t.Fatalf("got both operands %v and error %v", got, err)
			}
			return
		}
		var seen []string
		for _, o := range got {
			if k := listed[o.name]; k == 0 || o.instance > k || o.instance < 0 {
				t.Fatalf("got %v, which does not exist", o)
			}
			if slices.Contains(seen, o.String()) || o.instance > 0 && slices.Contains(seen, string(o.name)) {
				t.Fatalf("got %v twice in %v", o, got)
			}
			seen = append(seen, o.String())
		}
	})
}

// TestTargetsReadAllFirst checks that the method targets returns one error with the problems of all damaged apps.
func TestTargetsReadAllFirst(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 1)
	w.installApp(t, "one", 1)
	w.file(t, "config/one.yaml", "name: one\nspeed: 3\n", 0o644)
	if err := os.Remove(filepath.Join(w.store.Units, units.Name("web").DropIn())); err != nil {
		t.Fatal(err)
	}
	_, err := w.targets([]string{"all"})
	if err == nil || !strings.Contains(err.Error(), "one.yaml:2") || !strings.Contains(err.Error(), "the instance list of web") {
		t.Errorf("got error %v", err)
	}
}
