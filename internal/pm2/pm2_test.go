package pm2

import (
	"slices"
	"strings"
	"testing"
)

// TestEntries checks that each word has one entry, and that each entry has our equivalent or a hint.
func TestEntries(t *testing.T) {
	for _, kind := range []Kind{Command, Flag} {
		seen := map[string]bool{}
		for _, e := range Entries(kind) {
			if len(e.Names) == 0 || e.Same == nil && e.Hint == "" || e.Same == nil && e.Convert != nil {
				t.Errorf("the entry %q has neither an equivalent nor a hint", e.Names)
			}
			for _, name := range e.Names {
				if seen[name] || name == "" || strings.HasPrefix(name, "-") {
					t.Errorf("%q has two entries, is empty or has dashes", name)
				}
				seen[name] = true
				if got, ok := Lookup(kind, name); !ok || !slices.Equal(got.Names, e.Names) {
					t.Errorf("Lookup does not find %q", name)
				}
			}
		}
	}
	if _, ok := Lookup(Command, "kill-timeout"); ok {
		t.Error("Lookup finds a flag among the commands")
	}
}

func TestConvert(t *testing.T) {
	for _, c := range []struct {
		flag, value, want string
		ok                bool
	}{
		{"kill-timeout", "1600", "1600ms", true},
		{"kill-timeout", "5s", "5s", true},
		{"listen-timeout", "-1", "-1", true},
		{"stop-exit-codes", "0", "on-failure", true},
		{"stop-exit-codes", "143", "on-failure", false},
	} {
		e, _ := Lookup(Flag, c.flag)
		if got, ok := e.Convert(c.value); got != c.want || ok != c.ok {
			t.Errorf("%s %s: got %q, %v, want %q, %v", c.flag, c.value, got, ok, c.want, c.ok)
		}
	}
}

func TestDescribesApps(t *testing.T) {
	for path, want := range map[string]bool{
		"ecosystem.config.js": true, "process.json": true, "app.config.cjs": true, "ecosystem.yml": true, "/srv/PM2.yaml": true,
		"server.js": false, "config.js": false, "app.mjs": false, "": false,
	} {
		if got := DescribesApps(path); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}
