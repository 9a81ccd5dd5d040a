package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// roff returns the text of a manual page without the escapes of roff.
func roff(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`\\f[BIR]|"`).ReplaceAllString(strings.ReplaceAll(string(data), `\-`, "-"), "")
}

// TestTree checks the help and the manual of all commands and flags.
func TestTree(t *testing.T) {
	manual := roff(t, "../../packaging/man/clusterctl.1")
	app := newApp(&env{stdout: io.Discard, stderr: io.Discard})
	seen := map[string]string{}
	for _, cmd := range app.Commands {
		if cmd.Hidden {
			continue
		}
		usage(t, cmd.Name, cmd.Usage)
		if cmd.Run == nil || len(cmd.Description) == 0 || len(cmd.Examples) == 0 {
			t.Errorf("%s has no Run, no description or no example", cmd.Name)
		}
		if !strings.Contains(manual, "\n.SS "+cmd.Name+" ") && !strings.Contains(manual, "\n.SS "+cmd.Name+"\n") {
			t.Errorf("the manual has no section for %s", cmd.Name)
		}
		for _, name := range append([]string{cmd.Name}, cmd.Aliases...) {
			if other := seen[name]; other != "" {
				t.Errorf("%s names both %s and %s", name, other, cmd.Name)
			}
			seen[name] = cmd.Name
			if !regexp.MustCompile(`(?m)\b` + name + `\b`).MatchString(manual) {
				t.Errorf("the manual does not name %s", name)
			}
		}
		// A flag of the command overrides a global flag with the same name.
		global := slices.DeleteFunc(slices.Clone(app.Flags), func(f cmdline.Flag) bool {
			return slices.ContainsFunc(cmd.Flags, func(own cmdline.Flag) bool { return own.Name == f.Name })
		})
		checkFlags(t, cmd.Name, manual, append(cmd.Flags, global...))
	}
	for _, name := range []string{"install", "generate", "uninstall", "start", "stop", "restart", "reload", "scale",
		"signal", "reset", "ls", "show", "env", "logs", "flush", "cat", "version", "help", "apply", "diff", "rollback", "package"} {
		if seen[name] == "" {
			t.Errorf("the command %s is missing", name)
		}
	}
	for _, code := range []int{exitDone, exitFailed, exitUsage, exitNotReached, exitPermission, exitInterrupted} {
		if !strings.Contains(manual, fmt.Sprintf("\n.B %d\n", code)) {
			t.Errorf("the manual does not explain the exit status %d", code)
		}
	}
	for _, section := range []string{"ADDRESSES", "INSTANCES", "THE SHIM", "LOGS", "SANDBOX", "FILES", "ENVIRONMENT", "EXIT STATUS",
		"DIAGNOSTICS", "EXAMPLES", "SEE ALSO"} {
		if !strings.Contains(manual, "\n.SH "+section+"\n") {
			t.Errorf("the manual has no section %s", section)
		}
	}
}

// maxUsage is the maximum length of the help text of a flag or command. Longer explanations belong in the manual.
const maxUsage = 70

func usage(t *testing.T, name, text string) {
	t.Helper()
	if r := []rune(text); len(r) == 0 || len(r) > maxUsage || !unicode.IsUpper(r[0]) || strings.HasSuffix(text, ".") {
		t.Errorf("%s: the usage %q has %d characters; it is too long, does not begin with a capital letter, or ends in a "+
			"dot", name, text, len(r))
	}
}

// checkFlags checks that each flag has a short text, that no command has two flags with the same name, and that the manual
// explains each flag.
func checkFlags(t *testing.T, cmd, manual string, all []cmdline.Flag) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range all {
		n := utf8.RuneCountInString(f.Usage)
		if n == 0 || n > maxUsage || strings.HasSuffix(f.Usage, ".") || unicode.IsUpper([]rune(f.Usage)[0]) {
			t.Errorf("%s --%s: the usage %q has %d characters; it is empty, is too long, begins with a capital letter, or "+
				"ends in a dot", cmd, f.Name, f.Usage, n)
		}
		switch f.To.(type) {
		case *bool, *string, *[]string, *int, *time.Duration, *cmdline.Optional:
		default:
			if f.Name != "version" {
				t.Errorf("%s --%s: got a value of the unknown type %T", cmd, f.Name, f.To)
			}
		}
		if _, isBool := f.To.(*bool); isBool != (f.Takes == "") && f.To != nil {
			t.Errorf("%s --%s: got type %T and form %q, which do not match", cmd, f.Name, f.To, f.Takes)
		}
		entry := entryOf(sectionOf(manual, cmd), f.Name)
		if entry == "" {
			entry = entryOf(manual, f.Name)
		}
		if entry == "" {
			t.Errorf("%s --%s is not in the manual", cmd, f.Name)
		}
		for _, name := range []string{f.Name, f.Short} {
			if name != "" && seen[name] {
				t.Errorf("%s: got two flags %s", cmd, name)
			}
			seen[name] = true
		}
		if f.Short != "" && !strings.Contains(strings.TrimSpace(entry)+" ", " -"+f.Short+" ") {
			t.Errorf("%s: got %q in the manual, want %s in this line", cmd, entry, "-"+f.Short)
		}
	}
}

// sectionOf returns the section of the manual about a command.
func sectionOf(manual, cmd string) string {
	at := regexp.MustCompile(`(?m)^\.SS ` + cmd + `( .*)?$`).FindStringIndex(manual)
	if at == nil {
		return ""
	}
	section, _, _ := strings.Cut(manual[at[1]:], "\n.S")
	return section
}

// entryOf returns the line of the manual that names a flag.
func entryOf(text, flag string) string {
	before := ""
	for line := range strings.Lines(text) {
		tagged := before == ".TP\n"
		before = line
		if tagged && regexp.MustCompile(`--`+flag+`( |$)`).MatchString(strings.TrimSpace(strings.ReplaceAll(line, ",", " "))) {
			return line
		}
	}
	return ""
}

// TestManualKeys checks that the manual has an entry for every key of the file format, in the order in which the encoder
// writes the keys.
func TestManualKeys(t *testing.T) {
	manual := roff(t, "../../packaging/man/clusterctl.yaml.5")
	_, err := config.Decode("x.yaml", []byte("name: x\ncommand: [/x]\n"))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, key := range keys(t) {
		i := strings.Index(manual[at:], "\n.TP\n.B "+key+"\n")
		if i < 0 {
			t.Errorf("the manual has no entry for %s, or the entry is in the wrong order", key)
			continue
		}
		at += i
	}
	// The manual must not have other entries.
	body, _, _ := strings.Cut(manual[strings.Index(manual, ".SH KEYS"):], ".SH EXAMPLES")
	if got, want := strings.Count(body, "\n.TP\n"), len(keys(t)); got != want {
		t.Errorf("got %d entries, want %d, one for each key", got, want)
	}
}

// The function keys returns all keys of the file format. It encodes an app in which no field has its default value, so the
// encoder writes every key.
func keys(t *testing.T) []string {
	t.Helper()
	a := units.App{
		Name: "x", Command: []string{"/x"}, Directory: "/x", RunAs: units.RunAs{User: "x"}, Instances: units.Count{N: 1},
		Listen:     []units.Listener{{Port: 80}},
		Activation: units.Native, Ready: units.ReadyNotify, Env: []units.EnvVar{{Name: "A"}},
		EnvFiles: []units.EnvFile{{Path: "/x"}, {Path: "/y", ByWorker: true}}, Trust: []string{"x"},
		SecretEnv: []string{"B"}, Restart: units.RestartNo,
		Sandbox: units.SandboxOff, Writable: []string{"/x"}, Reads: []string{"/x"}, Allow: []units.Allowance{units.AllowHome},
		Timeouts: units.Timeouts{Start: 1, Drain: 1, Stop: 1}, Surge: 1,
		Shim: units.ShimOptions{Increment: []units.EnvVar{{Name: "A"}}, Pin: true, MaxRestarts: 1, MinUptime: 1,
			NoNodePreload: true, HoldAccept: true, OwnPtrace: true, NoDrain: true, Blocking: true},
		Logs:          units.Logs{Namespace: true, MaxSize: 1, MaxAge: 1e9, Rate: units.LogRate{Off: true}},
		Socket:        units.SocketAccess{Mode: 0o600, User: "x", Group: "x"},
		SocketOptions: []units.SocketOption{{Key: "KeepAlive", Value: "yes"}},
	}
	var keys []string
	for line := range strings.Lines(string(config.Encode(a))) {
		if key, _, ok := strings.Cut(line, ":"); ok && line[0] >= 'a' && line[0] <= 'z' {
			keys = append(keys, key)
		}
	}
	// If the app above lacks a new key, this test finds the key in the decoder.
	source, err := os.ReadFile("../../units/config/fields.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{"([a-z-]+)",`).FindAllStringSubmatch(string(source), -1) {
		if !strings.Contains(" "+strings.Join(keys, " ")+" ", " "+m[1]+" ") {
			t.Errorf("the app in this test has no value for the key %s", m[1])
		}
	}
	return keys
}

// TestManualRenders checks that groff prints no warnings, and that no line is longer than 80 columns.
func TestManualRenders(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		// Without groff, the test checks only the source.
		groff = ""
	}
	pages, err := filepath.Glob("../../packaging/man/*.[1-8]")
	if err != nil || len(pages) < 2 {
		t.Fatalf("got pages %q, error %v", pages, err)
	}
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			if strings.TrimRight(line, " \t") != line || strings.ContainsFunc(line, func(r rune) bool { return r > 126 || r == '\t' }) {
				t.Errorf("%s:%d: %q ends in a blank, or contains non-ASCII characters", page, i+1, line)
			}
			if regexp.MustCompile(`(^|[^\\-])--[a-z]`).MatchString(line) && !strings.HasPrefix(line, `.\"`) {
				t.Errorf("%s:%d: %q has dashes that a search cannot find: write \\-\\-", page, i+1, line)
			}
		}
		if groff == "" {
			continue
		}
		cmd := exec.Command(groff, "-man", "-ww", "-Tascii", "-P-c", "-rLL=80n", page)
		var warnings strings.Builder
		cmd.Stderr = &warnings
		out, err := cmd.Output()
		if err != nil || warnings.Len() > 0 {
			t.Errorf("%s: got error %v\n%s", page, err, warnings.String())
		}
		overstrike := regexp.MustCompile(`.\x08`)
		for line := range strings.Lines(string(out)) {
			if n := len(strings.TrimRight(overstrike.ReplaceAllString(line, ""), "\n")); n > 80 {
				t.Errorf("%s: got a line of %d columns: %s", page, n, line)
			}
		}
	}
}

// TestHelp checks that "help NAME" and "NAME --help" print the help to stdout for every name of every command, with status
// 0.
func TestHelp(t *testing.T) {
	w := newWorld(t)
	for _, args := range []string{"", "help", "--help", "-h", "-q --help"} {
		if code := w.do(strings.Fields(args)...); code != exitDone || w.err.Len() > 0 || !strings.Contains(w.out.String(), "COMMANDS:") {
			t.Errorf("%q: got status %d, stdout %q, stderr %q", args, code, w.out.String(), w.err.String())
		}
	}
	for _, cmd := range newApp(w.env).Commands {
		if cmd.Hidden {
			continue
		}
		for _, name := range append([]string{cmd.Name}, cmd.Aliases...) {
			var texts []string
			for _, args := range [][]string{{"help", name}, {name, "--help"}, {name, "-h"}, {name, "operand", "--help"},
				{name, "--no-such", "--help", "--", "program"}} {
				if code := w.do(args...); code != exitDone || w.err.Len() > 0 || !strings.HasPrefix(w.out.String(), cmd.Usage+".\n") {
					t.Errorf("%q: got status %d, stdout %q, stderr %q", args, code, w.out.String(), w.err.String())
				}
				texts = append(texts, w.out.String())
			}
			for _, text := range texts[1:] {
				if text != texts[0] {
					t.Errorf("%s: \"help\" and --help print different texts", name)
				}
			}
		}
	}
}

// TestCommandErrors runs commands without systemd. It checks the exit status and the error, and that stdout is empty.
func TestCommandErrors(t *testing.T) {
	for _, c := range []struct {
		args string
		euid int
		code int
		want string
	}{
		// A usage error is reported before a missing permission.
		{"install nothing.js", 1000, exitUsage, `"nothing.js": no such file, and missing program after --`},
		{"install x -i many -- true", 1000, exitUsage, `instances: "many" is not a number of instances`},
		{"install x --settle soon -- true", 0, exitUsage, `--settle: "soon" is not a duration`},
		{"install x --", 0, exitUsage, `"x": no such file, and missing program after --`},
		{"install 1 -- true", 0, exitUsage, `name: "1" has no letter`},
		{"install all -- true", 0, exitUsage, `name: "all" is reserved: it means all apps`},
		{"install x -- true", 1000, exitPermission, "this changes the machine: permission denied"},
		{"uninstall web", 1000, exitPermission, "this changes the machine: permission denied"},
		{"uninstall web@1", 0, exitUsage, `name: "web@1" may contain only`},
		{"uninstall web@*", 0, exitUsage, `uninstall: "web@*" matches instances, not apps`},
		{"uninstall zz*", 0, exitFailed, `no app matches "zz*"`},
		{"uninstall all", 0, exitUsage, "cannot ask for confirmation without a terminal"},
		{"uninstall w* nothing --yes", 0, exitFailed, `there is no app "nothing"`},
		{"uninstall nothing", 0, exitFailed, `there is no app "nothing"`},
		{"uninstall web", 0, exitUsage, "cannot ask for confirmation without a terminal"},
		{"uninstall web --yes", 0, exitFailed, "systemd is not running here: this is a test"},
		{"install web --no-listen --activation native --run-as dynamic -- TRUE", 0, exitFailed,
			"systemd is not running here: this is a test"},
		{"install web --no-listen --run-as dynamic --dry-run -- TRUE", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"install new --run-as dynamic --dry-run -- TRUE", 1000, exitUsage,
			"listen: missing address; a dry run does not run the program to find it"},
		{"install new --run-as dynamic --activation native -- TRUE", 0, exitUsage, "listen: missing address"},
		{"install web --run-as dynamic -- TRUE", 0, exitFailed, "systemd is not running here: this is a test"},
		{"install web --no-listen --run-as dynamic", 0, exitUsage, `"web": no such file, and missing program after --`},
		{"apply", 0, exitFailed, `there is no file "clusterctl.yaml"`},
		{"apply -f nothing.yaml", 1000, exitPermission, "this changes the machine: permission denied"},
		{"apply --dry-run -f nothing.yaml", 1000, exitFailed, `there is no file "nothing.yaml"`},
		{"diff", 1000, exitUsage, "diff: this directory has no clusterctl.yaml"},
		{"diff wbe", 1000, exitFailed, `there is no app "wbe"`},
		{"diff web", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"diff --all web", 1000, exitUsage, "--all cannot be combined with --file or names"},
		{"rollback web", 0, exitFailed, "web has no earlier revision"},
		{"rollback web 3", 1000, exitPermission, "this changes the machine: permission denied"},
		{"rollback nothing", 0, exitFailed, `there is no app "nothing"`},
		{"show nothing --revisions", 0, exitFailed, `there is no app "nothing"`},
		{"install new --run-as nobody-of-that-name -- TRUE", 0, exitFailed, `run-as: there is no user "nobody-of-that-name"`},
		{"install new -- nothing-of-that-name", 0, exitFailed, `the program "nothing-of-that-name" is not in $PATH`},
		{"start web", 0, exitFailed, "systemd is not running here: this is a test"},
		{"start web@3", 0, exitFailed, "web has no instance 3"},
		{"stop web@0", 0, exitUsage, `name: "web@0" does not end in an instance number (1-1000)`},
		{"restart wbe web", 0, exitFailed, `there is no app "wbe"`},
		{"restart all", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"restart --rolling all", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"reset web@2", 0, exitFailed, "systemd is not running here: this is a test"},
		{"show web", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"show all", 0, exitFailed, "systemd is not running here: this is a test"},
		{"show web@3", 0, exitFailed, "web has no instance 3"},
		{"show", 0, exitUsage, "show: missing argument: NAME, NAME@N, GLOB or all"},
		{"show web --interval 1ms", 0, exitUsage, "show: --interval must be at least 100ms"},
		{"ls web@9", 0, exitFailed, "web has no instance 9"},
		{"ls --sort size", 0, exitUsage, `ls: unknown sort key "size"`},
		{"ls --interval soon", 0, exitUsage, `--interval: "soon" is not a duration`},
		{"ls --watch", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"env web", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"env nothing", 1000, exitFailed, `there is no app "nothing"`},
		{"env", 0, exitUsage, "env: missing argument: NAME, NAME@N, GLOB or all"},
		{"ls --json", 1000, exitFailed, "systemd is not running here: this is a test"},
		{"cat nothing", 1000, exitFailed, `there is no app "nothing"`},
		{"cat ../../etc/passwd", 0, exitUsage, `name: "../../etc/passwd" `},
	} {
		t.Run(c.args, func(t *testing.T) {
			w := newWorld(t)
			w.euid = c.euid
			w.installApp(t, "web", 2)
			before := filesBelow(t, w.dir)
			program := "/bin/true"
			code := w.do(strings.Fields(strings.ReplaceAll(c.args, "TRUE", program))...)
			lines := strings.Split(w.err.String(), "\n")
			found := false
			for _, line := range lines {
				found = found || strings.HasPrefix(line, "clusterctl: "+c.want)
			}
			if code != c.code || !found {
				t.Errorf("got status %d, stderr %s", code, w.err.String())
			}
			if w.out.Len() > 0 {
				t.Errorf("got stdout %s, want nothing", w.out.String())
			}
			for _, line := range lines {
				if line != "" && !strings.HasPrefix(line, "clusterctl: ") && !strings.Contains(line, "activation: ") &&
					!strings.Contains(line, "directory: ") {
					t.Errorf("got the line %q", line)
				}
			}
			if got := filesBelow(t, w.dir); strings.Join(got, " ") != strings.Join(before, " ") {
				t.Errorf("got the files %q, want %q", got, before)
			}
		})
	}
}

// TestFresh checks that a run does not use the flags of an earlier run.
func TestFresh(t *testing.T) {
	w := newWorld(t)
	if code := w.do("generate", "a", "--no-listen", "-i", "3", "--env", "A=1", "--", "/bin/true"); code != exitDone ||
		!strings.Contains(w.out.String(), "a@3.service") {
		t.Fatalf("got status %d, stderr %s", code, w.err.String())
	}
	if code := w.do("generate", "a", "--no-listen", "-i", "2", "--", "/bin/true"); code != exitDone ||
		strings.Contains(w.out.String(), "a@3.service") || strings.Contains(w.out.String(), "A=1") {
		t.Errorf("got status %d, stderr %s\nstdout %s", code, w.err.String(), w.out.String())
	}
}
