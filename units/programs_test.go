package units_test

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestPrograms(t *testing.T) {
	for _, tt := range []struct {
		dir     string
		command []string
		want    []string
	}{
		{"/srv", []string{"/opt/x/../hello", "serve", "/srv/data.db"}, []string{"/opt/hello"}},
		{"/srv", []string{"/usr/bin/node", "--max-old-space-size=9", "dist/server.js", "x"}, []string{"/usr/bin/node", "/srv/dist/server.js"}},
		{"/srv", []string{"/usr/bin/python3.11", "/opt/app.py"}, []string{"/usr/bin/python3.11", "/opt/app.py"}},
		{"/srv", []string{"/usr/bin/python3", "-m", "uvicorn", "app"}, []string{"/usr/bin/python3"}},
		{"/srv", []string{"/bin/sh", "-c", "exec x"}, []string{"/bin/sh"}},
		{"/srv", []string{"/usr/bin/deno", "run", "-A", "main.ts"}, []string{"/usr/bin/deno", "/srv/main.ts"}},
		{"", []string{"/bin/bash", "x.sh"}, []string{"/bin/bash", "/x.sh"}},
		{"", nil, nil},
	} {
		if got := (units.App{Directory: tt.dir, Command: tt.command}).Programs(); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %q: %q, want %q", tt.command, tt.dir, got, tt.want)
		}
	}
}
