package resolve

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAppName(t *testing.T) {
	for path, want := range map[string]string{
		"/srv/child.js": "child", "server.mjs": "server", "/srv/my shop.py": "my-shop", "a.b.js": "a.b", "worker": "worker",
		"x.service": "x", "@acme": "acme",
		"été.rb": "t", ".hidden.js": "hidden", "app.tar": "app.tar", "v1.2": "v1.2", "all": "all", "日本.js": "日本",
	} {
		if got := AppName(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

func TestInvocation(t *testing.T) {
	w := newWorld(t)
	for _, p := range []string{"node", "bun", "python3", "bash", "ruby", "php", "perl"} {
		w.path[p] = "/usr/bin/" + p
	}
	w.path["/opt/bin/weird"] = "/opt/bin/weird"
	t.Chdir(filepath.Join(w.dir, "wd"))
	js, py := w.file(t, "wd/child.js", "", 0o644), w.file(t, "wd/app.py", "#!/usr/bin/python2\n", 0o755)
	sh, binary := w.file(t, "wd/run.sh", "", 0o644), w.file(t, "wd/worker", "\x7fELF", 0o755)
	tool := w.file(t, "wd/tool", "#!/usr/bin/env -S node --expose-gc\nx", 0o644)
	odd := w.file(t, "wd/odd", "#! /opt/bin/weird  -x\n", 0o600)
	exe := w.file(t, "wd/exe", "#!/opt/bin/weird", 0o755)
	plain := w.file(t, "wd/plain.txt", "hello", 0o644)
	words := func(s ...string) []string { return s }
	for _, c := range []struct {
		target  string
		rest    []string
		flags   Interpreter
		name    string
		command []string
		dir     string
	}{
		{"child.js", nil, Interpreter{}, "child", words("/usr/bin/node", js), "wd"},
		{"./child.js", words("--port", "1 2"), Interpreter{}, "child", words("/usr/bin/node", js, "--port", "1 2"), "wd"},
		{js, nil, Interpreter{NodeArgs: "--a  --b=1"}, "child", words("/usr/bin/node", "--a", "--b=1", js), "wd"},
		{"child.js", nil, Interpreter{Program: "bun", Args: "run"}, "child", words("/usr/bin/bun", "run", js), "wd"},
		{"app.py", nil, Interpreter{}, "wd", words("/usr/bin/python3", py), "wd"},
		{"app.py", nil, Interpreter{Program: "none"}, "wd", words(py), "wd"},
		{"run.sh", nil, Interpreter{}, "run", words("/usr/bin/bash", sh), "wd"},
		{"worker", nil, Interpreter{}, "worker", words(binary), "wd"},
		{"./worker", words("x"), Interpreter{}, "worker", words(binary, "x"), "wd"},
		{"tool", nil, Interpreter{Args: "--more"}, "tool", words("/usr/bin/node", "--expose-gc", "--more", tool), "wd"},
		{"odd", nil, Interpreter{}, "odd", words("/opt/bin/weird", "-x", odd), "wd"},
		{"exe", nil, Interpreter{}, "exe", words(exe), "wd"},
		{"plain.txt", nil, Interpreter{}, "plain.txt", words(plain), "wd"},
		// With a command after --, the target is a name, even if a file with this name exists.
		{"worker", words("node", "x.js"), Interpreter{}, "worker", words("node", "x.js"), ""},
		{"web", words("./worker", "-v"), Interpreter{}, "web", words("./worker", "-v"), ""},
	} {
		inv, err := w.Invocation(c.target, c.rest, c.flags)
		dir := c.dir
		if dir != "" {
			dir = filepath.Join(w.dir, dir)
		}
		if err != nil || inv.Name != c.name || !slices.Equal(inv.Command, c.command) || inv.Directory != dir {
			t.Errorf("%s %q: got %q %q in %q, error %v, want %q %q in %q",
				c.target, c.rest, inv.Name, inv.Command, inv.Directory, err, c.name, c.command, dir)
		}
	}
	for _, c := range []struct {
		target string
		rest   []string
		flags  Interpreter
		usage  bool
		want   string
	}{
		{"nothing.js", nil, Interpreter{}, true, `"nothing.js": no such file, and missing program after --`},
		{"", nil, Interpreter{}, true, `"": no such file`},
		{"web", words("node"), Interpreter{NodeArgs: "-x"}, true, "need a FILE"},
		{"exe", nil, Interpreter{Args: "-x"}, true, "runs without an interpreter"},
		{"child.js", nil, Interpreter{Program: "deno"}, false, "deno is not in $PATH"},
		{"worker/x", nil, Interpreter{}, false, "not a directory"},
	} {
		if _, err := w.Invocation(c.target, c.rest, c.flags); err == nil || !strings.Contains(err.Error(), c.want) ||
			isUsage(err) != c.usage {
			t.Errorf("%s %q: got error %v, want %q", c.target, c.rest, err, c.want)
		}
	}
}

func TestVersionManagers(t *testing.T) {
	w := newWorld(t)
	home := w.mkdir(t, "home", 0o755)
	w.vars["HOME"] = home
	for _, v := range []string{"v8.9.1", "v18.20.3", "v18.3.0", "v20.1.0"} {
		w.file(t, "home/.nvm/versions/node/"+v+"/bin/node", "", 0o755)
	}
	bun := w.file(t, "home/.bun/bin/bun", "", 0o755)
	find := func(name string) string {
		p, err := w.findInterpreter([]string{name})
		if err != nil {
			return err.Error()
		}
		return strings.TrimPrefix(p, home)
	}
	if got := find("node"); got != "/.nvm/versions/node/v20.1.0/bin/node" {
		t.Errorf("without an alias: got %s, want v20.1.0", got)
	}
	if !strings.Contains(w.notes.String(), "version manager") {
		t.Errorf("got the notes %q, want a note about the version manager", w.notes.String())
	}
	for alias, want := range map[string]string{"18\n": "v18.20.3", "v18.3.0": "v18.3.0", "8.9": "v8.9.1", "lts/iron": "v20.1.0",
		"99": "v20.1.0"} {
		w.file(t, "home/.nvm/alias/default", alias, 0o644)
		if got := find("node"); got != "/.nvm/versions/node/"+want+"/bin/node" {
			t.Errorf("alias %q: got %s, want %s", alias, got, want)
		}
	}
	if got := find("bun"); got != strings.TrimPrefix(bun, home) {
		t.Errorf("got %s, want %s", got, bun)
	}
	// A program in $PATH is preferred. If a name contains a character of a pattern (*, ? or [), no program is found.
	w.path["node"] = "/usr/bin/node"
	if got := find("node"); got != "/usr/bin/node" {
		t.Errorf("got %s, want the program in $PATH", got)
	}
	for _, name := range []string{"n*de", "../../node", "no[d]e"} {
		if p := w.inVersionManagers(name); p != "" {
			t.Errorf("%s: got %s, want none", name, p)
		}
	}
	delete(w.vars, "HOME")
	if got := find("bun"); !strings.Contains(got, "bun is not in $PATH") {
		t.Errorf("without a home: got %s", got)
	}
}

func TestCompareVersions(t *testing.T) {
	sorted := []string{"/v/9", "/v/9.1", "/v/10", "/v/10.2", "/v/10.2.1", "/v/10.10", "/v/018", "/v/20", "/w"}
	for i := range sorted {
		for j := range sorted {
			if got := compareVersions(sorted[i], sorted[j]); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s, %s: got %d", sorted[i], sorted[j], got)
			}
		}
	}
	gen := rapid.StringMatching(`[v./]{0,2}[0-9]{0,12}[a.][0-9]{0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := gen.Draw(t, "a"), gen.Draw(t, "b"), gen.Draw(t, "c")
		ab, bc, ac := compareVersions(a, b), compareVersions(b, c), compareVersions(a, c)
		if sign(ab) != -sign(compareVersions(b, a)) || compareVersions(a, a) != 0 || ab <= 0 && bc <= 0 && ac > 0 {
			t.Fatalf("%q, %q, %q: got the comparisons %d, %d and %d, which are inconsistent", a, b, c, ab, bc, ac)
		}
	})
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestDirectoryInvocation(t *testing.T) {
	for _, c := range []struct {
		about, json string
		files       []string
		flags       Interpreter
		name        string
		// The field command contains "DIR" instead of the path of the directory. The field err has a part of the error text.
		command, err string
		note         string
	}{
		{about: "main", json: `{"name":"@acme/shop","main":"lib/main.js"}`, files: []string{"lib/main.js"}, name: "shop",
			command: "/usr/bin/node|DIR/lib/main.js"},
		{about: "main without its extension", json: `{"main":"app"}`, files: []string{"app.js"}, name: "pkg",
			command: "/usr/bin/node|DIR/app.js"},
		{about: "a directory as main", json: `{"main":"./lib"}`, files: []string{"lib/index.js"}, name: "pkg",
			command: "/usr/bin/node|DIR/lib/index.js"},
		{about: "index.js", json: `{"name":"a b"}`, files: []string{"index.js", "server.js", ".js"}, name: "a-b",
			command: "/usr/bin/node|DIR/index.js"},
		{about: "the default file of npm", json: `{}`, files: []string{"server.js"}, name: "pkg", command: "/usr/bin/node|DIR/server.js"},
		{about: "a main file that does not exist", json: `{"main":"gone.js"}`, name: "pkg", err: "has no start script, and its main"},
		{about: "a plain script", json: `{"scripts":{"start":" node server.js  --port 80 "}}`, flags: Interpreter{NodeArgs: "--x"},
			name: "pkg", command: "/usr/bin/node|--x|server.js|--port|80"},
		{about: "a program of a dependency", json: `{"scripts":{"start":"next start"}}`, files: []string{"node_modules/.bin/next"},
			name: "pkg", command: "DIR/node_modules/.bin/next|start"},
		{about: "a variable", json: `{"scripts":{"start":"NODE_ENV=production node server.js"}}`, name: "pkg",
			command: "/bin/sh|-c|PATH=DIR/node_modules/.bin:$PATH; export PATH; NODE_ENV=production exec node server.js"},
		{about: "two commands", json: `{"scripts":{"start":"node build.js && node server.js"}}`, name: "pkg",
			command: "/bin/sh|-c|PATH=DIR/node_modules/.bin:$PATH; export PATH; node build.js && node server.js",
			note:    "does not forward SIGTERM"},
		{about: "a script that writes to the terminal",
			json: `{"scripts":{"start":"node a.js \u001b]0;OWNED\u0007\u001b[2J\nclusterctl: all is well;"}}`, name: "pkg",
			command: "/bin/sh|-c|PATH=DIR/node_modules/.bin:$PATH; export PATH; node a.js \x1b]0;OWNED\a\x1b[2J\nclusterctl: all is well;",
			note:    "not forward SIGTERM: node a.js \uFFFD]0;OWNED\uFFFD\uFFFD[2J\uFFFDclusterctl: all is well;\n"},
		{about: "a script and --interpreter", json: `{"scripts":{"start":"node x"}}`, flags: Interpreter{Program: "bun"},
			err: "cannot be combined with the start script"},
		{about: "a program that is not installed", json: `{"scripts":{"start":"frobnicate"}}`, err: "frobnicate is not in $PATH"},
		{about: "no JSON", json: `{`, err: "package.json: "},
		{about: "no package.json", err: "has no package.json"},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := newWorld(t)
			w.path["node"] = "/usr/bin/node"
			dir := w.mkdir(t, "pkg", 0o755)
			if c.json != "" {
				w.file(t, "pkg/package.json", c.json, 0o644)
			}
			for _, f := range c.files {
				w.file(t, "pkg/"+f, "", 0o755)
				if strings.HasSuffix(f, ".js") {
					w.file(t, "pkg/"+f, "", 0o644)
				}
			}
			inv, err := w.Invocation(dir, nil, c.flags)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %+v, error %v, want %q", inv, err, c.err)
				}
				return
			}
			got := strings.ReplaceAll(strings.Join(inv.Command, "|"), dir, "DIR")
			if err != nil || inv.Name != c.name || got != c.command || inv.Directory != dir {
				t.Errorf("got %q %s in %q, error %v, want %q %s", inv.Name, got, inv.Directory, err, c.name, c.command)
			}
			if !strings.Contains(w.notes.String(), c.note) || c.note == "" && w.notes.Len() > 0 {
				t.Errorf("got the notes %q, want %q", w.notes.String(), c.note)
			}
		})
	}
}

// TestStartScript runs the commands that [Resolver.script] returns for start scripts, and checks that the program gets its
// variables and arguments.
func TestStartScript(t *testing.T) {
	for script, want := range map[string]string{
		"A=1 B='x y' show \"p q\" $A":   "1|x y|p q",
		"  A=1\tshow   x":               "1||x",
		"A=a=b show *":                  "a=b||node_modules",
		"A=\"1 2\" show '&' | cat":      "1 2||&",
		"A=1 show \\$ # a comment":      "1||$",
		"A=`echo 7` show x":             "7||x",
		"A=$HOME/x show \"$HOME\" && :": "/nowhere/x||/nowhere",
	} {
		w := newWorld(t)
		dir := w.mkdir(t, "a dir", 0o755)
		w.file(t, "a dir/node_modules/.bin/show", "#!/bin/sh\nprintf '%s' \"$A|$B|$1\"\n[ -z \"$2\" ] || printf '|%s' \"$2\"\n", 0o755)
		command, err := w.script(dir, strings.TrimSpace(script), Interpreter{})
		if err != nil {
			t.Errorf("%s: got error %v", script, err)
			continue
		}
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=/nowhere", "PATH=/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if got := string(out); err != nil || got != want {
			t.Errorf("%s: got %q, want %q, error %v, from the command %q", script, got, want, err, command)
		}
	}
	// The program must replace the shell and keep its PID, so that it gets the SIGTERM of systemd.
	w := newWorld(t)
	w.file(t, "d/node_modules/.bin/pid", "#!/bin/sh\necho $$\n", 0o755)
	command, err := w.script(filepath.Join(w.dir, "d"), "X='1' pid", Interpreter{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil || strings.TrimSpace(out.String()) != fmt.Sprint(cmd.Process.Pid) {
		t.Errorf("the shell has the PID %d, and the program has the PID %s, error %v", cmd.Process.Pid, out.String(), err)
	}
}

// TestInvocationFails checks that a path that cannot be read is not reported as a missing file.
func TestInvocationFails(t *testing.T) {
	w := newWorld(t)
	link := filepath.Join(w.dir, "loop.js")
	if err := os.Symlink(link, link); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Invocation(link, nil, Interpreter{}); err == nil || isUsage(err) {
		t.Errorf("got error %v, want an error that is not about usage", err)
	}
}
