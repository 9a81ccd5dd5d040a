package cmdline

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestWrap checks that wrap keeps all words, and that a line with several words is not wider than the limit.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zé-]{1,50}`), 0, 40).Draw(t, "words")
		p := printer{width: rapid.IntRange(minWidth, maxWidth).Draw(t, "width")}
		p.wrap("  --flag  ", "          ", strings.Join(words, " "))
		if got := strings.Fields(p.out.String()); strings.Join(got, " ") != strings.Join(append([]string{"--flag"}, words...), " ") {
			t.Fatalf("%q: got %q", words, got)
		}
		for line := range strings.Lines(p.out.String()) {
			line = strings.TrimSuffix(line, "\n")
			long := len(strings.Fields(strings.TrimPrefix(line, "  --flag"))) > 1
			if utf8.RuneCountInString(line) > p.width && long || strings.TrimRight(line, " ") != line {
				t.Fatalf("width %d: got the line %q", p.width, line)
			}
		}
	})
}

// TestCommandLines checks that each line of a wrapped example, except the last, ends in a backslash.
func TestCommandLines(t *testing.T) {
	p := printer{width: 30}
	p.command("sudo clusterctl install web -i 4 -- node server.js")
	want := "  sudo clusterctl install \\\n      web -i 4 -- node \\\n      server.js\n"
	if p.out.String() != want {
		t.Errorf("got %q, want %q", p.out.String(), want)
	}
}

// TestHelpWidth checks that the help is as wide as the terminal, between 40 and 80 columns.
func TestHelpWidth(t *testing.T) {
	for terminal, want := range map[int]int{0: 80, 10: 40, 40: 40, 60: 60, 80: 80, 200: 80} {
		var out strings.Builder
		app := &App{
			Name: "x", Usage: strings.Repeat("word ", 100) + "end", Stdout: &out, Width: func() int { return terminal },
			Flags: []Flag{{Name: "flag", Usage: strings.Repeat("text ", 100) + "end"}},
		}
		if err := app.help(nil); err != nil {
			t.Fatal(err)
		}
		longest := 0
		for line := range strings.Lines(out.String()) {
			longest = max(longest, len(line)-1)
		}
		if longest > want || longest < want-5 {
			t.Errorf("a terminal of %d columns: got a longest line of %d columns, want about %d", terminal, longest, want)
		}
	}
}

func TestFlagRows(t *testing.T) {
	text, texts, optional, number := "always", []string(nil), Optional{}, 0
	for _, c := range []struct {
		flag Flag
		want [2]string
	}{
		{Flag{Name: "restart", To: &text, Takes: "WHEN", Usage: "restart"}, [2]string{"    --restart WHEN", "restart (default: always)"}},
		{Flag{Name: "env", Short: "e", To: &texts, Takes: "K=V", Usage: "set it"}, [2]string{"-e, --env K=V", "set it; may repeat"}},
		{Flag{Name: "boot", Short: "b", To: &optional, Takes: "ID", Usage: "lines"}, [2]string{"-b, --boot[=ID]", "lines"}},
		{Flag{Name: "surge", To: &number, Takes: "N", Usage: "start more"}, [2]string{"    --surge N", "start more"}},
	} {
		if got := c.flag.row(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestDefaults checks the format of times, and that an empty default is not shown.
func TestDefaults(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"": 0, "10s": 10 * time.Second, "1m": time.Minute, "1m30s": 90 * time.Second, "10m": 10 * time.Minute, "1h": time.Hour,
	} {
		if got := (Flag{To: &d}).fallback(); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
