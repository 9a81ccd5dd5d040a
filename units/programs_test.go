package units_test

import (
	"slices"
	"strings"
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
		{"/srv", []string{"/usr/bin/node", "--max-old-space-size=9", "dist/server.js", "x"},
			[]string{"/usr/bin/node", "/srv/dist/server.js"}},
		{"/srv", []string{"/usr/bin/python3.11", "/opt/app.py"}, []string{"/usr/bin/python3.11", "/opt/app.py"}},
		{"/srv", []string{"/usr/bin/python3", "-m", "uvicorn", "app"}, []string{"/usr/bin/python3"}},
		{"/srv", []string{"/bin/sh", "-c", "exec x"}, []string{"/bin/sh"}},
		{"/srv", []string{"/usr/bin/deno", "run", "-A", "main.ts"}, []string{"/usr/bin/deno", "/srv/main.ts"}},
		{"", []string{"/bin/bash", "x.sh"}, []string{"/bin/bash", "/x.sh"}},
		{"", nil, nil},
	} {
		if got := (units.App{Directory: tt.dir, Command: tt.command}).Programs(); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %q: got %q, want %q", tt.command, tt.dir, got, tt.want)
		}
	}
}

// TestScripts: Programs finds the script of an interpreter after options with values.
func TestScripts(t *testing.T) {
	for command, want := range map[string]string{
		"node -r dotenv/config server.js":              "/srv/server.js",
		"node --import tsx server.ts":                  "/srv/server.ts",
		"node --import=tsx server.ts":                  "/srv/server.ts",
		"node --env-file .env server.js":               "/srv/server.js",
		"node --enable-source-maps server.js -e x":     "/srv/server.js",
		"node -c server.js":                            "/srv/server.js",
		"node -m server.js":                            "/srv/server.js",
		"node run":                                     "/srv/run",
		"node -- server.js":                            "/srv/server.js",
		"node -e code x":                               "",
		"node -pe code x":                              "",
		"node --eval code x":                           "",
		"node --import":                                "",
		"node --":                                      "",
		"bun run --preload ./a.ts b.ts":                "/srv/b.ts",
		"deno run -A -c deno.json main.ts":             "/srv/main.ts",
		"python3 -W ignore app.py":                     "/srv/app.py",
		"python3 -Wignore -u -X dev app.py":            "/srv/app.py",
		"python3 -um uvicorn app":                      "",
		"python3 -c code":                              "",
		"python3 - app.py":                             "",
		"python3 -e app.py":                            "/srv/app.py",
		"bash -e /srv/r/start.sh":                      "/srv/r/start.sh",
		"bash -euo pipefail start.sh":                  "/srv/start.sh",
		"sh +e -x start.sh":                            "/srv/start.sh",
		"sh -m start.sh":                               "/srv/start.sh",
		"sh -ec code":                                  "",
		"perl -I lib -w app.pl":                        "/srv/app.pl",
		"perl -Mstrict app.pl":                         "/srv/app.pl",
		"perl -we code":                                "",
		"ruby -r bundler/setup -Ilib app.rb":           "/srv/app.rb",
		"ruby -e code":                                 "",
		"php -d memory_limit=1G -S 127.0.0.1:80 r.php": "/srv/r.php",
		"php -f a.php":                                 "/srv/a.php",
		"php -r code":                                  "",
	} {
		words := strings.Fields(command)
		files := units.App{Directory: "/srv", Command: words}.Programs()
		if got := strings.Join(files[1:], " "); got != want || files[0] != words[0] {
			t.Errorf("%s: got the files %q, want the script %q", command, files, want)
		}
	}
}
