package units_test

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// FuzzWord: systemd reads the output of quoteWord as one word, which is the original string.
func FuzzWord(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
		f.Add("x" + s + "y")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return // word returns an error for NUL, see TestRenderProperties
		}
		quoted := units.QuoteWord(s)
		if strings.ContainsFunc(quoted, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q has a control character", quoted)
		}
		line := `"front" ` + quoted + ` "back"`
		got, err := splitValue(line, true, "%i must not be expanded")
		if err != nil || len(got) != 3 || got[1] != s {
			t.Fatalf("quoteWord(%q) returned %s, which systemd parses as %q, %v", s, quoted, got, err)
		}
	})
}

// TestOracle: the unit parser of these tests detects wrong quoting.
func TestOracle(t *testing.T) {
	for line, want := range map[string][]string{
		``:                     nil,
		` a  b `:               {"a", "b"},
		`"a b" 'c d'`:          {"a b", "c d"},
		`a"b c"d`:              {"ab cd"},
		`""`:                   {""},
		`"\t\x41\101\u00e9\s"`: {"\tAAé "},
		`"%%i %i"`:             {"%i 7"},
	} {
		if got, err := splitValue(line, true, "7"); err != nil || strings.Join(got, "\x00") != strings.Join(want, "\x00") ||
			len(got) != len(want) {
			t.Errorf("%s: got %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"a`, `'a`, `a\`, `"\q"`, `"\x4"`, `"\x00"`, `"50%"`, `%z`, `"\400"`} {
		if got, err := splitValue(line, true, "7"); err == nil {
			t.Errorf("%s was parsed as %q, want an error", line, got)
		}
	}
	if got, _ := splitValue(`"a\n\\b"`, false, "7"); len(got) != 1 || got[0] != `an\b` {
		t.Errorf("without C escapes: got %q", got)
	}
	for _, line := range []string{`/bin/true`, `:true`, `:/bin/`, `:"/bin/a'b"`, `:/bin/true ; /bin/false`, `:"/a*"`} {
		if got, err := execArgv(line, "7"); err == nil {
			t.Errorf("ExecStart=%s was parsed as %q, want an error", line, got)
		}
	}
	for _, text := range []string{"a=b\n", "[S]\nab\n", "[S\n", "[S]\na=b\\\n", "# c\\\n[S]\n", "[S]\na=\ufffe\n",
		"[S]\na=" + strings.Repeat("x", longLine) + "\n"} {
		if got, err := parseUnit([]byte(text)); err == nil {
			t.Errorf("%.20q was parsed as %q, want an error", text, got)
		}
	}
}

// TestSafeExecutable: safeExecutable returns false exactly for the paths that need a shell.
func TestSafeExecutable(t *testing.T) {
	for path, want := range map[string]bool{
		"/bin/true": true, "/opt/my app/x": true, "/opt/100%": true, "/opt/$x": true, "/opt/é": true, "/a/../b": true,
		"bin/true": false, "": false, "/bin/": false, "/a\"b": false, "/a'b": false, `/a\b`: false, "/a\nb": false, "/a\x7f": false,
		"/a*": false, "/a?": false, "/[a": false,
	} {
		if got := units.SafeExecutable(path); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}
