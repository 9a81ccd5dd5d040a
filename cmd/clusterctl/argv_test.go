package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"pgregory.net/rapid"
)

func TestSplitCommand(t *testing.T) {
	for _, c := range []struct {
		args, own, command string
		found              bool
	}{
		{"c install x -- node a.js -i 4", "c install x", "node a.js -i 4", true},
		{"c install x -- a -- b", "c install x", "a -- b", true},
		{"c install x --", "c install x", "", true},
		{"-- a", "", "a", true},
		{"c install x --name=--", "c install x --name=--", "", false},
		{"c ls", "c ls", "", false},
	} {
		own, command, found := splitCommand(strings.Fields(c.args))
		if strings.Join(own, " ") != c.own || strings.Join(command, " ") != c.command || found != c.found {
			t.Errorf("%q: %q, %q, %v", c.args, own, command, found)
		}
	}
	if _, command, _ := splitCommand([]string{"c", "--", "", "-- "}); len(command) != 2 || command[0] != "" || command[1] != "-- " {
		t.Errorf("words of the program have changed: %q", command)
	}
}

// parsed is what cli makes of a command line: the command, each flag's value, the operands.
type parsed struct {
	command, flags string
	operands       []string
	err            string
}

// parse hands arguments to cli, with actions that only look. In order to compare what normalise does with what cli does
// by itself, it does not normalise.
func parse(args []string) parsed {
	var p parsed
	e := &env{stdout: io.Discard, stderr: io.Discard}
	app := newApp(e)
	for _, cmd := range app.Commands {
		cmd.Action = func(c *cli.Context) error {
			p.command, p.operands = c.Command.Name, c.Args().Slice()
			for _, f := range c.Command.Flags {
				name := f.Names()[0]
				value := any(nil)
				switch f.(type) {
				case *cli.StringSliceFlag:
					value = c.StringSlice(name)
				default:
					value = c.Value(name)
				}
				p.flags += fmt.Sprintf("%s=%#v set=%v\n", name, value, c.IsSet(name))
			}
			return nil
		}
	}
	app.Action = func(c *cli.Context) error {
		p.command, p.operands = "", c.Args().Slice()
		return nil
	}
	if err := app.RunContext(context.Background(), args); err != nil {
		p.err = err.Error()
	}
	p.flags += fmt.Sprintf("quiet=%v", e.quiet)
	return p
}

// use is one use of a flag: one or two words as they are typed, and the same with the flag's first name.
type use struct{ typed, long []string }

func typed(uses []use) (words []string) {
	for _, u := range uses {
		words = append(words, u.typed...)
	}
	return words
}

func long(uses []use) (words []string) {
	for _, u := range uses {
		words = append(words, u.long...)
	}
	return words
}

// anyValue is a value that the flag takes; text may look like a flag, but not be "--", which ends our own arguments.
func anyValue(t *rapid.T, f cli.Flag) string {
	switch f.(type) {
	case *cli.BoolFlag:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	case *cli.IntFlag:
		return rapid.SampledFrom([]string{"0", "4", "-1", "252"}).Draw(t, "int")
	case *cli.DurationFlag:
		return rapid.SampledFrom([]string{"1s", "0", "-5m", "1h30m"}).Draw(t, "duration")
	case *cli.StringFlag, *cli.StringSliceFlag, *cli.GenericFlag:
		return rapid.OneOf(
			rapid.SampledFrom([]string{"-1", "max", "50%", "--json", "-n", "-", "", "A=--b=c", "a,b", "--no-such-flag", "ls", "--instances=4", "-- "}),
			rapid.StringN(0, 5, -1).Filter(func(s string) bool { return s != "--" }),
		).Draw(t, "text")
	}
	t.Fatalf("a flag of type %T is not tested", f)
	return ""
}

func anyUse(t *rapid.T, flags, known []cli.Flag) use {
	f := rapid.SampledFrom(flags).Draw(t, "flag")
	name := rapid.SampledFrom(f.Names()).Draw(t, "name")
	// The library takes one dash and two alike.
	word, first := rapid.SampledFrom([]string{"-", "--"}).Draw(t, "dashes")+name, "--"+f.Names()[0]
	// Those with an optional value take none from the next word.
	_, isBool := f.(*cli.BoolFlag)
	if _, ok := f.(*cli.GenericFlag); ok {
		isBool = true
	}
	value := anyValue(t, f)
	attached := value
	if isBool {
		attached = name // the same flag twice behind one dash
	}
	// A word that is a flag of its own, or nearly one, is not letters behind a dash.
	letters, _, _ := strings.Cut(name+attached, "=")
	alone := len(name) > 1 || attached == "" || attached[0] == '=' || findFlag(known, letters) != nil || findPM2Flag(letters) != nil || nearFlag(name+attached, known) != ""
	switch {
	case !alone && rapid.Bool().Draw(t, "attached"):
		if isBool {
			return use{[]string{"-" + name + name}, []string{first, first}}
		}
		return use{[]string{"-" + name + value}, []string{first + "=" + value}}
	case rapid.Bool().Draw(t, "joined"):
		return use{[]string{word + "=" + value}, []string{first + "=" + value}}
	case isBool:
		return use{[]string{word}, []string{first}}
	default:
		return use{[]string{word, value}, []string{first, value}}
	}
}

// inFront are the flags of a command that may stand in front of it: of a name that two commands have, once with a value
// and once without, nobody could tell which is meant.
func inFront(app *cli.App, cmd *cli.Command) []cli.Flag {
	return slices.DeleteFunc(slices.Clone(cmd.Flags), func(f cli.Flag) bool {
		return slices.ContainsFunc(f.Names(), func(name string) bool {
			return findFlag(app.Flags, name) != nil || slices.ContainsFunc(app.Commands, func(other *cli.Command) bool {
				return findFlag(other.Flags, name) != nil && takesValue(other.Flags, name) != takesValue(cmd.Flags, name)
			})
		})
	})
}

var anyOperand = rapid.OneOf(
	rapid.SampledFrom([]string{"app.js", "-", "-1", "", "+2", "all", "web@3", "help", "ls", "a b", "=", "é"}),
	rapid.StringN(0, 5, -1).Filter(func(s string) bool { return !isFlag(s) }),
)

// mix interleaves uses and operands without changing the order among either.
func mix(t *rapid.T, uses []use, operands []string) []string {
	var out []string
	for len(uses)+len(operands) > 0 {
		if len(operands) == 0 || len(uses) > 0 && rapid.Bool().Draw(t, "flag next") {
			out, uses = append(out, uses[0].typed...), uses[1:]
			continue
		}
		out, operands = append(out, operands[0]), operands[1:]
	}
	return out
}

// TestNormaliseProperty: whatever order people type flags and operands in, it means what flags-first means to cli.
func TestNormaliseProperty(t *testing.T) {
	template := newApp(&env{stdout: io.Discard, stderr: io.Discard})
	rapid.Check(t, func(t *rapid.T) {
		cmd := rapid.SampledFrom(template.Commands).Draw(t, "command")
		name := rapid.SampledFrom(cmd.Names()).Draw(t, "command name")
		known := slices.Concat(cmd.Flags, template.Flags)
		some := func(flags []cli.Flag, label string) []use {
			if len(flags) == 0 {
				return nil
			}
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) use { return anyUse(t, flags, known) }), 0, 4).Draw(t, label)
		}
		// The version is answered whatever else there is.
		global := slices.DeleteFunc(slices.Clone(template.Flags), func(f cli.Flag) bool { return f.Names()[0] == "version" })
		before, ownBefore := some(global, "global"), some(inFront(template, cmd), "own in front")
		own, behind := some(cmd.Flags, "own"), some(global, "global behind")
		operands := rapid.SliceOfN(anyOperand, 0, 3).Draw(t, "operands")

		// Global flags behind the command may stand anywhere among its own.
		var both []use
		for g, o := behind, own; len(g)+len(o) > 0; {
			if len(o) == 0 || len(g) > 0 && rapid.Bool().Draw(t, "global next") {
				both, g = append(both, g[0]), g[1:]
			} else {
				both, o = append(both, o[0]), o[1:]
			}
		}
		typed := slices.Concat([]string{"clusterctl"}, typed(before), typed(ownBefore), []string{name}, mix(t, both, operands))
		first := slices.Concat([]string{"clusterctl"}, long(before), long(behind), []string{name}, long(ownBefore), long(own))
		if len(operands) > 0 {
			first = append(append(first, "--"), operands...)
		}
		got, want := parse(normalise(template, typed)), parse(first)
		if got.err != want.err || got.command != want.command || got.flags != want.flags || !slices.Equal(got.operands, want.operands) {
			t.Fatalf("%q became %q:\n%+v\nwant, as %q:\n%+v", typed, normalise(template, typed), got, first, want)
		}
	})
}

// TestNormaliseKeepsWords: on any words at all, only their order changes, and a "--" may come in between. A command line
// that loses words is one that cli refuses.
func TestNormaliseKeepsWords(t *testing.T) {
	template := newApp(&env{stdout: io.Discard, stderr: io.Discard})
	word := rapid.OneOf(
		rapid.SampledFrom([]string{"install", "ls", "--instances", "--nope", "--quiet", "--quiet=", "--json", "--name", "---", "-", "x", "-1", "=", "--=x"}),
		rapid.String().Filter(func(s string) bool { return s == "" || s[0] != '-' }),
	)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(word).Draw(t, "words")
		got := slices.DeleteFunc(normalise(template, append([]string{"clusterctl"}, words...)), func(s string) bool { return s == "--" })
		want := append([]string{"clusterctl"}, words...)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) && parse(normalise(template, append([]string{"clusterctl"}, words...))).err == "" {
			t.Fatalf("%q: %q", words, got)
		}
	})
	if normalise(template, nil) != nil {
		t.Error("no words became some")
	}
}

// TestFlagsAnywhere: cases as people type them.
func TestFlagsAnywhere(t *testing.T) {
	for typed, want := range map[string]string{
		"install app.js -i 4":              "install [app.js] instances=\"4\"",
		"install app.js -i -1":             "install [app.js] instances=\"-1\"",
		"install -i=-1 app.js":             "install [app.js] instances=\"-1\"",
		"install app.js --instances max":   "install [app.js] instances=\"max\"",
		"install app.js --env -x":          "install [app.js] env=[]string{\"-x\"}",
		"install app.js -n web -q":         "install [app.js] name=\"web\"",
		"install --env A=1,2 x --env B=":   "install [x] env=[]string{\"A=1,2\", \"B=\"}",
		"-q uninstall web -y":              "uninstall [web] yes=true",
		"delete --yes=false web":           "uninstall [web] yes=false",
		"start web -1":                     "start [web -1] settle=1000000000",
		"install x -e A=1 --env B=2 -e=C=": "install [x] env=[]string{\"A=1\", \"B=2\", \"C=\"}",
		"restart web --settle 2s shop@3":   "restart [web shop@3] settle=2000000000",
		"generate a --cpus 3 b":            "generate [a b] cpus=3",
		"install app.js --name --dry-run":  "install [app.js] name=\"--dry-run\"",
		"install -i4 app.js":               "install [app.js] instances=\"4\"",
		"install app.js -imax":             "install [app.js] instances=\"max\"",
		"install app.js -i-1":              "install [app.js] instances=\"-1\"",
		"install app.js --instances -1":    "install [app.js] instances=\"-1\"",
		"install app.js --instances=4":     "install [app.js] instances=\"4\"",
		"install app.js -eA=1 -eB=2":       "install [app.js] env=[]string{\"A=1\", \"B=2\"}",
		"install app.js -l8080 -l=9090":    "install [app.js] listen=[]string{\"8080\", \"9090\"}",
		"-i 4 install app.js -q":           "install [app.js] instances=\"4\"",
		"-n ls -q install app.js":          "install [app.js] name=\"ls\"",
		"uninstall -qy web":                "uninstall [web] yes=true",
		"uninstall web -yq":                "uninstall [web] yes=true",
	} {
		template := newApp(&env{stdout: io.Discard, stderr: io.Discard})
		p := parse(normalise(template, append([]string{"clusterctl"}, strings.Fields(typed)...)))
		what, flag, _ := strings.Cut(want, "] ")
		if got := p.command + " " + fmt.Sprint(p.operands); p.err != "" || got != what+"]" || !strings.Contains(p.flags, flag) {
			t.Errorf("%s: %s, %q\n%s", typed, got, p.err, p.flags)
		}
		if (strings.Contains(typed, "-q") || strings.Contains(typed, "-yq")) && !strings.Contains(p.flags, "quiet=true") {
			t.Errorf("%s: not quiet", typed)
		}
	}
}

// TestFlagWithoutValue: the "--" that normalise puts in front of operands must not become a flag's value.
func TestFlagWithoutValue(t *testing.T) {
	for _, typed := range []string{"install x --name -- node", "install x --cwd", "generate x -o -- /bin/true", "install --run-as"} {
		w := newWorld(t)
		if code := w.do(strings.Fields(typed)...); code != exitUsage || !strings.Contains(w.err.String(), " has no value\nclusterctl: hint: --") {
			t.Errorf("%s: %d, %s", typed, code, w.err.String())
		}
	}
}

func TestIsFlag(t *testing.T) {
	for s, want := range map[string]bool{"": false, "-": false, "-1": false, "-1.5": false, "x": false, "-x": true, "--": true, "--x": true, "-é": true, "+1": false} {
		if isFlag(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestUnknownFlag(t *testing.T) {
	for typed, want := range map[string]string{
		"-x":                          "there is no flag -x\nhint: write the program and its arguments behind --",
		"--verison":                   "there is no flag --verison\nhint: did you mean --version?",
		"--zzz":                       "there is no flag --zzz\nhint: clusterctl --help lists the flags",
		"--zzz install x":             "install has no flag --zzz\nhint: clusterctl install --help lists the flags",
		"ls --jsno":                   "ls has no flag --jsno\nhint: did you mean --json?",
		"install x --instance 4":      "install has no flag --instance\nhint: did you mean --instances?",
		"install x -instance 4":       "install has no flag -instance\nhint: did you mean --instances?",
		"install x -qz":               "install has no flag -qz\nhint: clusterctl install --help lists the flags",
		"install x --zzz=1":           "install has no flag --zzz\nhint: clusterctl install --help lists the flags",
		"ls --qiet":                   "ls has no flag --qiet\nhint: did you mean --quiet?",
		"start web --instances 4":     "start has no flag --instances\nhint: it is a flag of \"clusterctl install\", \"clusterctl generate\"",
		"uninstall x -f":              "uninstall has no flag -f\nhint: nothing has to be forced; uninstall does not ask with --yes",
		"instal x":                    "there is no command \"instal\"\nhint: did you mean \"clusterctl install\"?",
		"lsit":                        "there is no command \"lsit\"\nhint: did you mean \"clusterctl list\"?",
		"help nope":                   "there is no command \"nope\"\nhint: clusterctl --help lists the commands",
		"frobnicate":                  "there is no command \"frobnicate\"\nhint: clusterctl --help lists the commands",
		"ls --json=maybe":             "--json: \"maybe\" is not true or false\nhint: --json alone means true",
		"install x --settle 5":        "--settle: \"5\" has no unit\nhint: --settle 5s, or 5ms",
		"install x --settle soon":     "--settle: \"soon\" is not a time\nhint: --settle 500ms, 30s or 2m",
		"install x --max-restarts 3x": "--max-restarts: \"3x\" is not a whole number\nhint: --max-restarts 4",
		"install x --restart":         "--restart has no value\nhint: --restart always",
		"install x --settle":          "--settle has no value\nhint: --settle 30s",
	} {
		w := newWorld(t)
		want = "clusterctl: " + strings.ReplaceAll(want, "\n", "\nclusterctl: ") + "\n"
		if code := w.do(strings.Fields(typed)...); code != exitUsage || w.err.String() != want || w.out.Len() > 0 {
			t.Errorf("%s: %d\n%swant\n%s%s", typed, code, w.err.String(), want, w.out.String())
		}
	}
}

func TestVersionFlag(t *testing.T) {
	w := newWorld(t)
	w.do("version")
	want := w.out.String()
	for _, typed := range []string{"--version", "-v", "-qv", "ls --version", "install x --no-such -v"} {
		if code := w.do(strings.Fields(typed)...); code != exitDone || w.out.String() != want {
			t.Errorf("%s: %d, %s%s", typed, code, w.out.String(), w.err.String())
		}
	}
}

func TestOperandsOf(t *testing.T) {
	for typed, want := range map[string]string{
		"cat":              "cat: the NAME of the app is missing",
		"show":             "show: the NAME of an app is missing",
		"cat a b":          `cat: "b" is too much`,
		"install":          "install: what to install is missing",
		"install a b":      `install: "b" is too much`,
		"start":            "start: the NAME of an app is missing",
		"version -1":       `version: "-1" is too much`,
		"help install cat": `help: "cat" is too much`,
		"generate -- x":    "generate: the NAME of the app is missing",
	} {
		w := newWorld(t)
		if code := w.do(strings.Fields(typed)...); code != exitUsage || !strings.HasPrefix(w.err.String(), "clusterctl: "+want+"\nclusterctl: hint: clusterctl ") {
			t.Errorf("%s: %d\n%s", typed, code, w.err.String())
		}
	}
}
