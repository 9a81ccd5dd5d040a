package main

import (
	"strings"
	"testing"
)

// TestFlagWithoutValue checks that "--" does not become the value of the flag in front of it.
func TestFlagWithoutValue(t *testing.T) {
	for _, typed := range []string{"install x --name -- node", "install x --cwd", "generate x -o -- /bin/true", "install --run-as"} {
		w := newWorld(t)
		const want = " needs a value\nclusterctl: hint: --"
		if code := w.do(strings.Fields(typed)...); code != exitUsage || !strings.Contains(w.err.String(), want) {
			t.Errorf("%s: got status %d, stderr %s", typed, code, w.err.String())
		}
	}
}

func TestUnknownFlag(t *testing.T) {
	for typed, want := range map[string]string{
		"-x":                     "unknown flag -x\nhint: write the program and its arguments after --",
		"--verison":              "unknown flag --verison\nhint: did you mean --version?",
		"--zzz":                  "unknown flag --zzz\nhint: clusterctl --help lists the flags",
		"--zzz install x":        "install: unknown flag --zzz\nhint: clusterctl install --help lists the flags",
		"ls --jsno":              "ls: unknown flag --jsno\nhint: did you mean --json?",
		"install x --instance 4": "install: unknown flag --instance\nhint: did you mean --instances?",
		"install x -instance 4":  "install: unknown flag -instance\nhint: did you mean --instances?",
		"install x -qz":          "install: unknown flag -qz\nhint: clusterctl install --help lists the flags",
		"install x --zzz=1":      "install: unknown flag --zzz\nhint: clusterctl install --help lists the flags",
		"ls --qiet":              "ls: unknown flag --qiet\nhint: did you mean --quiet?",
		"start web --instances 4": "start: unknown flag --instances" +
			"\nhint: it is a flag of \"clusterctl install\", \"clusterctl generate\"",
		"uninstall x -f": "uninstall: unknown flag -f" +
			"\nhint: not needed: clusterctl needs no force; \"clusterctl uninstall --yes\" does not ask",
		"instal x":                    "unknown command \"instal\"\nhint: did you mean \"clusterctl install\"?",
		"lsit":                        "unknown command \"lsit\"\nhint: did you mean \"clusterctl list\"?",
		"help nope":                   "unknown command \"nope\"\nhint: clusterctl --help lists the commands",
		"frobnicate":                  "unknown command \"frobnicate\"\nhint: clusterctl --help lists the commands",
		"ls --json=maybe":             "--json: \"maybe\" is not true or false\nhint: --json alone means true",
		"install x --settle 5":        "--settle: \"5\" has no unit\nhint: --settle 5s, or 5ms",
		"install x --settle soon":     "--settle: \"soon\" is not a duration\nhint: --settle 500ms, 30s or 2m",
		"install x --max-restarts 3x": "--max-restarts: \"3x\" is not a whole number\nhint: --max-restarts 4",
		"install x --restart":         "--restart needs a value\nhint: --restart always",
		"install x --settle":          "--settle needs a value\nhint: --settle 30s",
	} {
		w := newWorld(t)
		want = "clusterctl: " + strings.ReplaceAll(want, "\n", "\nclusterctl: ") + "\n"
		if code := w.do(strings.Fields(typed)...); code != exitUsage || w.err.String() != want || w.out.Len() > 0 {
			t.Errorf("%s: got status %d, stderr\n%swant\n%sstdout\n%s", typed, code, w.err.String(), want, w.out.String())
		}
	}
}

func TestVersionFlag(t *testing.T) {
	w := newWorld(t)
	w.do("version")
	want := w.out.String()
	for _, typed := range []string{"--version", "-v", "-qv", "ls --version", "install x --no-such -v"} {
		if code := w.do(strings.Fields(typed)...); code != exitDone || w.out.String() != want {
			t.Errorf("%s: got status %d, stdout %s, stderr %s", typed, code, w.out.String(), w.err.String())
		}
	}
}

func TestOperandsOf(t *testing.T) {
	for typed, want := range map[string]string{
		"cat":              "cat: missing argument: NAME",
		"show":             "show: missing argument: NAME, NAME@N, GLOB or all",
		"cat a b":          `cat: unexpected argument "b"`,
		"install":          "install: missing argument: FILE, DIRECTORY or NAME",
		"install a b":      `install: unexpected argument "b"`,
		"start":            "start: missing argument: NAME, NAME@N, GLOB, all or FILE",
		"version -1":       `version: unexpected argument "-1"`,
		"help install cat": `help: unexpected argument "cat"`,
		"generate -- x":    "generate: missing argument: NAME",
	} {
		w := newWorld(t)
		want = "clusterctl: " + want + "\nclusterctl: hint: clusterctl "
		if code := w.do(strings.Fields(typed)...); code != exitUsage || !strings.HasPrefix(w.err.String(), want) {
			t.Errorf("%s: got status %d\nstderr %s", typed, code, w.err.String())
		}
	}
}
