package cmdline

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/internal/pm2"
)

func TestSplitProgram(t *testing.T) {
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
		own, command := SplitProgram(strings.Fields(c.args))
		if strings.Join(own, " ") != c.own || strings.Join(command, " ") != c.command || (command != nil) != c.found {
			t.Errorf("%q: got %q, %#v, want %q, %q", c.args, own, command, c.own, c.command)
		}
	}
	if _, command := SplitProgram([]string{"c", "--", "", "-- "}); len(command) != 2 || command[0] != "" || command[1] != "-- " {
		t.Errorf("got the program words %q", command)
	}
}

// parsedLine contains what cli has read from a command line: the command, the value of each flag, and the operands.
type parsedLine struct {
	command, flags string
	operands       []string
	err            string
}

// typicalApp returns an App with commands and flags of every type, some with the same names. Each command writes
// its name, its operands and the values of its flags to p.
func typicalApp(p *parsedLine) *App {
	var (
		quiet, yes, asJSON, all         bool
		instances, name, runAs, restart string
		output                          string
		listen, env                     []string
		cpus, restarts                  int
		settle, stopTimeout, minUptime  = time.Second, time.Minute, time.Duration(0)
		boot, since                     Optional
		startTimeout                    time.Duration
		many                            = []Operand{{Forms: []Form{Name}, Optional: true, Repeats: true}}
	)
	app := &App{
		Name: "clusterctl", Stdout: io.Discard, Width: func() int { return 0 },
		Flags: []Flag{{Name: "quiet", Short: "q", To: &quiet}, {Name: "version", Short: "v"}},
		Commands: []*Command{
			{Name: "install", Operands: many, Program: May, Flags: []Flag{
				{Name: "instances", Short: "i", To: &instances, Takes: "N", NotEmpty: true},
				{Name: "listen", Short: "l", To: &listen, Takes: "ADDR"},
				{Name: "env", Short: "e", To: &env, Takes: "K=V"},
				{Name: "name", Short: "n", To: &name, Takes: Name},
				{Name: "run-as", To: &runAs, Takes: User},
				{Name: "restart", To: &restart, Takes: "WHEN", Words: []string{"always", "on-failure", "no"}},
				{Name: "max-restarts", To: &restarts, Takes: "N"},
				{Name: "settle", To: &settle, Takes: "TIME"},
				{Name: "stop-timeout", To: &stopTimeout, Takes: "TIME"},
				{Name: "start-timeout", To: &startTimeout, Takes: "TIME"},
				{Name: "min-uptime", To: &minUptime, Takes: "TIME"},
				{Name: "yes", Short: "y", To: &yes},
				{Name: "json", To: &asJSON},
			}},
			{Name: "generate", Operands: many, Program: Must, Flags: []Flag{
				{Name: "output", Short: "o", To: &output, Takes: Dir}, {Name: "cpus", To: &cpus, Takes: "N"},
			}},
			{Name: "uninstall", Aliases: []string{"delete", "del"}, Operands: many, Flags: []Flag{
				{Name: "yes", Short: "y", To: &yes}, {Name: "keep-logs", To: &all},
			}},
			{Name: "start", Operands: many, Flags: []Flag{{Name: "settle", To: &settle, Takes: "TIME"}}},
			{Name: "restart", Operands: many, Flags: []Flag{{Name: "settle", To: &settle, Takes: "TIME"}}},
			{Name: "logs", Operands: many, Flags: []Flag{
				{Name: "lines", Short: "n", To: &name, Takes: "N"},
				{Name: "no-follow", To: &all},
				{Name: "boot", Short: "b", To: &boot, Takes: "ID"},
				{Name: "since", To: &since, Takes: "TIME"},
			}},
			{Name: "ls", Aliases: []string{"l"}, Operands: many, Flags: []Flag{
				{Name: "all", Short: "a", To: &all}, {Name: "json", To: &asJSON},
			}},
			{Name: "hidden", Hidden: true, Operands: many, Flags: []Flag{{Name: "keep-logs", To: &all}}},
		},
	}
	defer app.AddStandard()
	for _, cmd := range app.Commands {
		cmd.Run = func(_ context.Context, in Input) error {
			p.command, p.operands = cmd.Name, in.Args
			for _, f := range cmd.Flags {
				p.flags += fmt.Sprintf("%s=%#v set=%v\n", f.Name, reflect.ValueOf(f.To).Elem(), in.Given(f.Name))
			}
			p.flags += fmt.Sprintf("quiet=%v", quiet)
			return nil
		}
	}
	return app
}

// The function parse passes args to cli without a call of normalise, and returns what cli has read.
func parse(args []string) parsedLine {
	var p parsedLine
	if err := typicalApp(&p).library(args, nil).RunContext(context.Background(), args); err != nil {
		p.err = err.Error()
	}
	return p
}

// appTemplate returns the App of typicalApp for tests that do not run a command.
func appTemplate() *App { return typicalApp(new(parsedLine)) }

// A use is one flag on a command line. It contains the words that users type, and the words with the long name, which cli
// gets.
type use struct{ typed, long []string }

func typedWords(uses []use) (words []string) {
	for _, u := range uses {
		words = append(words, u.typed...)
	}
	return words
}

func longForms(uses []use) (words []string) {
	for _, u := range uses {
		words = append(words, u.long...)
	}
	return words
}

// anyValue returns a value that the flag accepts. The value may look like a flag, but it is never "--", which ends our own
// arguments.
func anyValue(t *rapid.T, f Flag) string {
	switch f.To.(type) {
	case *bool, nil:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	case *int:
		return rapid.SampledFrom([]string{"0", "4", "-1", "252"}).Draw(t, "int")
	case *time.Duration:
		return rapid.SampledFrom([]string{"1s", "0", "-5m", "1h30m"}).Draw(t, "duration")
	}
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"-1", "max", "50%", "--json", "-n", "-", "", "A=--b=c", "a,b", "--no-such-flag", "ls", "--instances=4", "-- ",
		}),
		rapid.StringN(0, 5, -1).Filter(func(s string) bool { return s != "--" }),
	).Draw(t, "text")
}

func anyUse(t *rapid.T, flags, known []Flag) use {
	f := rapid.SampledFrom(flags).Draw(t, "flag")
	name := rapid.SampledFrom(f.names()).Draw(t, "name")
	// cli accepts a long name after one dash or two dashes.
	word, first := rapid.SampledFrom([]string{"-", "--"}).Draw(t, "dashes")+name, "--"+f.Name
	// The next word is never the value of a flag whose value is optional.
	isBool := !f.wantsValue()
	value := anyValue(t, f)
	attached := value
	if isBool {
		attached = name // as in -qq
	}
	// readLetters refuses letters that resemble the long name of a flag.
	letters, _, _ := strings.Cut(name+attached, "=")
	alone := len(name) > 1 || attached == "" || attached[0] == '=' || findFlag(known, letters) != nil ||
		pm2Flag(letters) || nearFlag(name+attached, known) != ""
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

func pm2Flag(name string) bool {
	_, ok := pm2.Lookup(pm2.Flag, name)
	return ok
}

// inFront returns the flags of a command that users may type in front of the command. It omits a flag that takes a value in
// one command but not in another: in front of the command, it is unknown whether the next word is a value.
func inFront(app *App, cmd *Command) []Flag {
	return slices.DeleteFunc(slices.Clone(cmd.Flags), func(f Flag) bool {
		return slices.ContainsFunc(f.names(), func(name string) bool {
			return findFlag(app.Flags, name) != nil || slices.ContainsFunc(app.Commands, func(other *Command) bool {
				return findFlag(other.Flags, name) != nil && wantsValue(other.Flags, name) != wantsValue(cmd.Flags, name)
			})
		})
	})
}

var anyOperand = rapid.OneOf(
	rapid.SampledFrom([]string{"app.js", "-", "-1", "", "+2", "all", "web@3", "help", "ls", "a b", "=", "é"}),
	rapid.StringN(0, 5, -1).Filter(func(s string) bool { return !isFlag(s) }),
)

// The function mix returns a command line in which the flags and the operands are mixed. It keeps the order of the flags and
// the order of the operands.
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

// TestNormaliseProperty passes mixed flags and operands to the function normalise. From its result, cli must parse the same
// values as if the user had typed all flags first.
func TestNormaliseProperty(t *testing.T) {
	tree := appTemplate()
	rapid.Check(t, func(t *rapid.T) {
		cmd := rapid.SampledFrom(tree.Commands).Draw(t, "command")
		name := rapid.SampledFrom(cmd.names()).Draw(t, "command name")
		known := slices.Concat(cmd.Flags, tree.Flags)
		some := func(flags []Flag, label string) []use {
			if len(flags) == 0 {
				return nil
			}
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) use { return anyUse(t, flags, known) }), 0, 4).Draw(t, label)
		}
		// A flag for the version overrides all other flags.
		global := slices.DeleteFunc(slices.Clone(tree.Flags), func(f Flag) bool { return f.Name == "version" })
		before, ownBefore := some(global, "global"), some(inFront(tree, cmd), "own in front")
		own, behind := some(cmd.Flags, "own"), some(global, "global behind")
		operands := rapid.SliceOfN(anyOperand, 0, 3).Draw(t, "operands")

		// Flags of every command may be mixed with the flags of the command.
		var both []use
		for g, o := behind, own; len(g)+len(o) > 0; {
			if len(o) == 0 || len(g) > 0 && rapid.Bool().Draw(t, "global next") {
				both, g = append(both, g[0]), g[1:]
			} else {
				both, o = append(both, o[0]), o[1:]
			}
		}
		typed := slices.Concat([]string{"clusterctl"}, typedWords(before), typedWords(ownBefore), []string{name}, mix(t, both, operands))
		first := slices.Concat([]string{"clusterctl", name}, longForms(before), longForms(behind), longForms(ownBefore), longForms(own))
		if len(operands) > 0 {
			first = append(append(first, "--"), operands...)
		}
		got, want := parse(tree.normalise(typed)), parse(first)
		if got.err != want.err || got.command != want.command || got.flags != want.flags || !slices.Equal(got.operands, want.operands) {
			t.Fatalf("%q is normalised to %q: got\n%+v\nwant the result of %q:\n%+v", typed, tree.normalise(typed), got, first, want)
		}
	})
}

// TestNormaliseKeepsWords calls normalise with random words. The result must contain all words, in any order, and may also
// contain "--". A word may be missing only if cli refuses the command line.
func TestNormaliseKeepsWords(t *testing.T) {
	tree := appTemplate()
	word := rapid.OneOf(
		rapid.SampledFrom([]string{
			"install", "ls", "--instances", "--nope", "--quiet", "--quiet=", "--json", "--name", "---", "-", "x", "-1", "=", "--=x",
		}),
		rapid.String().Filter(func(s string) bool { return s == "" || s[0] != '-' }),
	)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(word).Draw(t, "words")
		got := slices.DeleteFunc(tree.normalise(append([]string{"clusterctl"}, words...)), func(s string) bool { return s == "--" })
		want := append([]string{"clusterctl"}, words...)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) && parse(tree.normalise(append([]string{"clusterctl"}, words...))).err == "" {
			t.Fatalf("%q: got %q", words, got)
		}
	})
	if tree.normalise(nil) != nil {
		t.Error("got words for an empty command line")
	}
}

// TestFlagsAnywhere checks command lines that users may type.
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
		p := parse(appTemplate().normalise(append([]string{"clusterctl"}, strings.Fields(typed)...)))
		what, flag, _ := strings.Cut(want, "] ")
		if got := p.command + " " + fmt.Sprint(p.operands); p.err != "" || got != what+"]" || !strings.Contains(p.flags, flag) {
			t.Errorf("%s: got %s, error %q, flags\n%s", typed, got, p.err, p.flags)
		}
		if (strings.Contains(typed, "-q") || strings.Contains(typed, "-yq")) && !strings.Contains(p.flags, "quiet=true") {
			t.Errorf("%s: got no --quiet", typed)
		}
	}
}

func TestIsFlag(t *testing.T) {
	for s, want := range map[string]bool{
		"": false, "-": false, "-1": false, "-1.5": false, "x": false, "-x": true, "--": true, "--x": true, "-é": true, "+1": false,
	} {
		if isFlag(s) != want {
			t.Errorf("%q: got %v, want %v", s, !want, want)
		}
	}
}
