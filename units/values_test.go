package units_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
)

// TestParseValues: ParseValues parses files in the syntax of EnvironmentFile= (systemd.exec(5), test-env-file.c).
func TestParseValues(t *testing.T) {
	for name, c := range map[string]struct{ text, want, wrong string }{
		"plain":            {"A=a\nB = b c \n  C=c", "A=a|B=b c|C=c", ""},
		"comments":         {"# A=a\n;B=b\nC=c # d\n#x\\\nD=d\n", "C=c # d|D=d", ""},
		"quotes":           {"A=\"a b \" \nB=' b\\n\"'\nC=\"x\"y\n", "A=a b |B= b\\n\"|C=xy", ""},
		"escapes":          {`A="\" \\ \$ \` + "`" + ` \n \x"` + "\nB=\\ \\a\\\\\n", "A=\" \\ $ ` \\n \\x|B= a\\", ""},
		"continuation":     {"A=a\\\nb\nB=\"a\\\nb\"\n", "A=ab|B=ab", ""},
		"several lines":    {"A=\"a\n# b\nB=c\n\"\nC=c\n", "A=a\n# b\nB=c\n|C=c", ""},
		"empty":            {"A=\nB=\"\"\nC", "A=|B=", `line 3 has no "="`},
		"twice":            {"A=1\nB=2\nA=3\n", "A=3|B=2", ""},
		"carriage returns": {"A=1\r\nB=2\r\n", "A=1|B=2", ""},
		"bad names":        {"export A=1\n1B=2\nC=3\n=4\n", "C=3", "line 1 has no variable name before"},
		"no end":           {"A=1\nB=\"x", "A=1|B=x", "line 2 begins a value whose closing quote is missing"},
		"not text":         {"A=1\nB=\xff\nC=3", "A=1|C=3", "line 2 is not valid UTF-8"},
		"nothing":          {"", "", ""},
	} {
		vars, err := units.ParseValues([]byte(c.text))
		var got []string
		for _, v := range vars {
			got = append(got, v.Name+"="+v.Value)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: got %q, want %q", name, strings.Join(got, "|"), c.want)
		}
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: got the error %v, want %q", name, err, c.wrong)
		}
	}
}

// TestValuesRoundTrip: ParseValues returns the variables that RenderValues has written.
func TestValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var vars []units.EnvVar
		for _, n := range rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,5}`), 0, 4, rapid.ID).Draw(t, "names") {
			parts := rapid.SliceOf(rapid.OneOf(rapid.String(),
				rapid.SampledFrom([]string{"\\", "\"", "'", "`", "$", "\n", "\r", " ", "\t", "#", ";", "=", "%", "\\\n"}))).Draw(t, n)
			vars = append(vars, units.EnvVar{Name: n, Value: strings.ReplaceAll(strings.Join(parts, ""), "\x00", "")})
		}
		data := units.RenderValues(units.App{Name: "shop", Env: vars})
		got, err := units.ParseValues(data)
		if err != nil || !slices.Equal(got, vars) {
			t.Fatalf("%v (-want +got):\n%s\n%s", err, cmp.Diff(vars, got), data)
		}
	})
}

// FuzzParseValues: ParseValues does not panic. A file that RenderValues writes with the result has the same variables.
func FuzzParseValues(f *testing.F) {
	f.Add([]byte("A=\"a\\\"b\"\nB='c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		vars, _ := units.ParseValues(data)
		again, err := units.ParseValues(units.RenderValues(units.App{Env: vars}))
		if err != nil || !slices.Equal(again, vars) {
			t.Fatalf("got %+v, %v, want %+v", again, err, vars)
		}
	})
}

// TestFillValues: FillValues sets only the values of hidden variables, and adds variables that are only in the file.
func TestFillValues(t *testing.T) {
	a := units.App{Env: []units.EnvVar{{Name: "A", Hidden: true}, {Name: "B", Value: "own"}, {Name: "C", Hidden: true}}}
	a.FillValues([]byte("D=4\nB=2\nA=1\n"))
	want := []units.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "own"}, {Name: "C", Hidden: true}, {Name: "D", Value: "4"}}
	if !slices.Equal(a.Env, want) {
		t.Errorf("got %+v, want %+v", a.Env, want)
	}
}

// TestHiddenValues: unknown values do not change the units, and Render sets Kept for the values file.
func TestHiddenValues(t *testing.T) {
	a := units.App{Name: "web", Command: []string{"/bin/true"}, Env: []units.EnvVar{{Name: "A", Value: "1"}}}
	target := units.Target{Systemd: 252, Sizing: units.Sizing{Want: 1, Listed: 1}, Values: "/etc/clusterctl/web.env"}
	known, err := units.Render(a, target)
	if err != nil {
		t.Fatal(err)
	}
	a.Env[0] = units.EnvVar{Name: "A", Hidden: true}
	hidden, err := units.Render(a, target)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range hidden {
		if f.Path == "web.env" {
			if !f.Kept || f.Data != nil {
				t.Errorf("got the values file %+v, want Kept without Data", f)
			}
			continue
		}
		if string(f.Data) != string(known[i].Data) || f.Kept {
			t.Errorf("%s differs from the file with known values", f.Path)
		}
	}
}

func TestSecretEnv(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*units.App)
		want   string
	}{
		"good":       {func(*units.App) {}, ""},
		"a name":     {func(a *units.App) { a.SecretEnv = []string{"tls.key"} }, `secret-env: "tls.key" is not a variable name`},
		"twice":      {func(a *units.App) { a.SecretEnv = []string{"A", "A"} }, `secret-env: "A" is given twice`},
		"a variable": {func(a *units.App) { a.Env = []units.EnvVar{{Name: "TOKEN"}} }, `secret-env: "TOKEN" is given twice`},
		"a number": {func(a *units.App) { a.Shim.Increment = []units.EnvVar{{Name: "TOKEN", Value: "1"}} },
			`secret-env: "TOKEN" is given twice`},
		"systemd's": {func(a *units.App) { a.SecretEnv = []string{"LISTEN_FDS"} }, `secret-env: "LISTEN_FDS" is set by systemd`},
		"too long":  {func(a *units.App) { a.SecretEnv = []string{strings.Repeat("A", 129)} }, `is not a variable name`},
	} {
		a := units.App{Name: "web", Command: []string{"/bin/true"}, SecretEnv: []string{"TOKEN"}}
		c.change(&a)
		err := a.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
