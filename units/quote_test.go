package units_test

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// FuzzWord: what quoteWord makes of a string is one word to systemd, and that word is the string.
func FuzzWord(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
		f.Add("x" + s + "y")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return // word refuses it, see TestRenderProperties
		}
		quoted := units.QuoteWord(s)
		if strings.ContainsFunc(quoted, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q has a control character", quoted)
		}
		line := `"front" ` + quoted + ` "back"`
		got, err := words(line, true, "%i must not be expanded")
		if err != nil || len(got) != 3 || got[1] != s {
			t.Fatalf("%q became %s, which is %q to systemd, %v", s, quoted, got, err)
		}
	})
}

// TestOracle: the reader of this test knows the ways in which quoting can go wrong, or the fuzz targets prove nothing.
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
		if got, err := words(line, true, "7"); err != nil || strings.Join(got, "\x00") != strings.Join(want, "\x00") ||
			len(got) != len(want) {
			t.Errorf("%s is %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"a`, `'a`, `a\`, `"\q"`, `"\x4"`, `"\x00"`, `"50%"`, `%z`, `"\400"`} {
		if got, err := words(line, true, "7"); err == nil {
			t.Errorf("%s is taken for %q", line, got)
		}
	}
	if got, _ := words(`"a\n\\b"`, false, "7"); len(got) != 1 || got[0] != `an\b` {
		t.Errorf("without C escapes: %q", got)
	}
	for _, line := range []string{`/bin/true`, `:true`, `:/bin/`, `:"/bin/a'b"`, `:/bin/true ; /bin/false`, `:"/a*"`} {
		if got, err := execArgv(line, "7"); err == nil {
			t.Errorf("ExecStart=%s is taken for %q", line, got)
		}
	}
	for _, text := range []string{"a=b\n", "[S]\nab\n", "[S\n", "[S]\na=b\\\n", "# c\\\n[S]\n", "[S]\na=\ufffe\n",
		"[S]\na=" + strings.Repeat("x", longLine) + "\n"} {
		if got, err := parseUnit([]byte(text)); err == nil {
			t.Errorf("%.20q is taken for %q", text, got)
		}
	}
}

// TestSafeExecutable: the paths that need the shell in front, and no other.
func TestSafeExecutable(t *testing.T) {
	for path, want := range map[string]bool{
		"/bin/true": true, "/opt/my app/x": true, "/opt/100%": true, "/opt/$x": true, "/opt/é": true, "/a/../b": true,
		"bin/true": false, "": false, "/bin/": false, "/a\"b": false, "/a'b": false, `/a\b`: false, "/a\nb": false, "/a\x7f": false,
		"/a*": false, "/a?": false, "/[a": false,
	} {
		if got := units.SafeExecutable(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}
