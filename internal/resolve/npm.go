package resolve

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/origin"
	"github.com/clusterctl/clusterctl/internal/text"
)

type packageJSON struct {
	Main    string            `json:"main"`
	Scripts map[string]string `json:"scripts"`
}

// directoryInvocation returns the command of a directory with a package.json: its start script, its main file, index.js or
// server.js.
func (r *Resolver) directoryInvocation(target string, f Interpreter) (Invocation, error) {
	dir, err := r.Absolute(target)
	if err != nil {
		return Invocation{}, err
	}
	path := filepath.Join(dir, "package.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return Invocation{}, fault.WithHint(fmt.Errorf("the directory %s has no package.json", dir),
			"clusterctl install %s/app.js, or clusterctl install %s --cwd %[1]s -- PROGRAM", text.Shell(target), text.Shell(AppName(dir)))
	}
	var p packageJSON
	if err := json.Unmarshal(data, &p); err != nil {
		return Invocation{}, fmt.Errorf("%s: %w", path, err)
	}
	name := cmp.Or(origin.PackageName(dir), origin.DirectoryName(dir), filepath.Base(dir))
	inv := Invocation{Name: AppName(name), Directory: dir}
	if script := strings.TrimSpace(p.Scripts["start"]); script != "" {
		inv.Command, err = r.script(dir, script, f)
		return inv, err
	}
	mains := []string{"index.js", "server.js"}
	if p.Main != "" {
		mains = append([]string{p.Main, p.Main + ".js", p.Main + "/index.js"}, mains...)
	}
	for _, main := range mains {
		file := filepath.Join(dir, main)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			prefix, err := r.interpreter(file, f)
			inv.Command = append(prefix, file)
			return inv, err
		}
	}
	return Invocation{}, fault.WithHint(fmt.Errorf("%s has no start script, and its main file does not exist", path),
		"use a file: clusterctl install %s/app.js", text.Shell(target))
}

// shellSyntax has the characters with a special meaning in a shell. shellControl has the characters that can separate
// commands.
const (
	shellSyntax  = "|&;<>()$`\\\"'*?[]#~={}!\n"
	shellControl = "|&;()`\n#!"
)

// script returns the command of a start script. The command does not contain npm, so that no npm process is between systemd
// and the program. A simple script such as "node FILE ARGS" runs without a shell. All other scripts run in a shell, with the
// programs of the package in $PATH.
func (r *Resolver) script(dir, script string, f Interpreter) ([]string, error) {
	if f.Program != "" || f.Args != "" {
		return nil, fault.WithHint(fault.Usagef("--interpreter cannot be combined with the start script %q", script),
			"use a file instead of the directory")
	}
	words := strings.Fields(script)
	bin := filepath.Join(dir, "node_modules/.bin")
	if strings.ContainsAny(script, shellSyntax) {
		return []string{"/bin/sh", "-c", "PATH=" + text.Shell(bin) + ":$PATH; export PATH; " + r.execLast(script)}, nil
	}
	local := filepath.Join(bin, words[0])
	if _, err := os.Stat(local); err == nil {
		return append([]string{local}, words[1:]...), nil
	}
	program, err := r.findInterpreter(words[:1])
	if err != nil {
		return nil, err
	}
	return slices.Concat([]string{program}, strings.Fields(f.NodeArgs), words[1:]), nil
}

// execLast adds exec to a script with one command, so that the program replaces the shell and gets the SIGTERM of systemd.
// execLast returns a script with several commands unchanged, and prints a note that the shell gets the SIGTERM.
func (r *Resolver) execLast(script string) string {
	if strings.ContainsAny(script, shellControl) {
		r.Note("the start script runs in a shell, which does not forward SIGTERM: %s", script)
		return script
	}
	rest := script
	for {
		n := assignment(strings.TrimLeft(rest, " \t"))
		if n == 0 {
			break
		}
		rest = strings.TrimLeft(rest, " \t")[n:]
	}
	return script[:len(script)-len(rest)] + " exec " + strings.TrimLeft(rest, " \t")
}

// The function assignment returns the length of the NAME=value at the beginning of a command, or 0 if there is none. The
// value ends at a blank outside of quotes.
func assignment(s string) int {
	name, _, ok := strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsAny(name, shellSyntax+" \t") {
		return 0
	}
	var quote byte
	for i := len(name) + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote == 0 && (c == ' ' || c == '\t'):
			return i
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	return len(s)
}
