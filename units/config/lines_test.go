package config_test

import (
	"errors"
	"testing"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// TestLinesOfEntries: an error about an entry of a list or a map has the line of the entry, even if resolve has changed the
// text of the entry.
func TestLinesOfEntries(t *testing.T) {
	const app = "name: shop\ncommand: [/bin/true]\n"
	for _, c := range []struct{ key, entries, more string }{
		{"command", "  - /bin/true\n  - \"a\\0\"\n", "name: shop"},
		{"listen", "  - /run/a.sock\n  - a=/run/a.sock\n", app},
		{"listen", "  - 80\n  - 80\n", app},
		{"socket-options", "  - KeepAlive=yes\n  - KeepAlive=maybe\n", app + "listen: 80"},
		{"env", "  A: b\n  1A: b\n", app},
		{"env", "  A: b\n  MAINPID: A\n", app},
		{"env-files", "  - /a\n  - /a/..\n", app},
		// In App.EnvFiles, /b and /c come before /a and /a/..
		{"worker-env-files", "  - /a\n  - /a/..\n", app + "env-files: [/b, /c]"},
		{"trust", "  - ann\n  - ann:\n", app},
		{"secret-env", "  - A\n  - A\n", app},
		{"writable", "  - ok\n  - data\n", app},
		{"read", "  - ok\n  - data\n", app},
		{"increment", "  A: 1\n  B: b\n", app},
	} {
		text := c.key + ":\n" + c.entries + c.more + "\n"
		_, err := config.Parse("clusterctl.yaml", []byte(text), func(a *units.App) error {
			for _, list := range [][]string{a.Writable, a.Reads} {
				if len(list) == 2 {
					list[0], list[1] = "/srv/"+list[0], "/srv/../"+list[1]
				}
			}
			return nil
		})
		errs, ok := errors.AsType[config.Errors](err)
		if !ok || errs[0].Line != 3 || errs[0].Message == "" {
			t.Errorf("%s: %v, want an error in line 3", c.key, err)
		}
	}
}
