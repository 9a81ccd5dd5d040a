package main

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestComplete checks the output for the completion scripts. The user is typing the last word of each command line.
func TestComplete(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 3)
	w.file(t, "config/web.secrets/A_KEY.cred", "x", 0o600)
	w.file(t, "config/web.secrets/b.pem", "x", 0o600)
	w.installApp(t, "web-api", 1)
	w.installApp(t, "mail", 1)
	w.file(t, "bin/noodle", "", 0o755)
	w.file(t, "bin/noodle.txt", "", 0o644)
	w.vars["PATH"] = w.dir + "/bin:/nowhere"
	for line, want := range map[string]string{
		"unin":                           "words uninstall",
		"st":                             "words start stop",
		"stat":                           "words status",
		"-":                              "words --quiet --no-color --version --help",
		"--qu":                           "words --quiet",
		"-q uninst":                      "words uninstall",
		"nonsense ":                      "words",
		"nonsense -":                     "words",
		"uninstall ":                     "words mail web web-api all",
		"uninstall w":                    "words web web-api",
		"stop we":                        "words web web-api",
		"stop ":                          "words mail web web-api all",
		"stop web@":                      "words web@1 web@2 web@3",
		"stop web mail@":                 "words mail@1",
		"stop nothing@":                  "words",
		"stop web --":                    "words --json --quiet --no-color --version --help",
		"delete w":                       "words web web-api",
		"desc m":                         "words mail",
		"start w":                        "files web web-api",
		"install ":                       "files",
		"install serv":                   "files",
		"install x ":                     "words",
		"install x --restart ":           "words always on-failure no",
		"install x --restart n":          "words no",
		"install x --restart=":           "words --restart=always --restart=on-failure --restart=no",
		"install x --restart=on":         "words --restart=on-failure",
		"install x -i ":                  "words max",
		"install x -i -":                 "words",
		"install x --env-file ":          "files",
		"install x --env-file=":          "files",
		"install x --cwd ":               "dirs",
		"install x --rest":               "words --restart",
		"install x --restart no --rest":  "words",
		"install x --no-autorestart --r": "words --run-as --ready --rw --ro --replace",
		"install x -e A=1 --en":          "words --env --env-file",
		"secret ":                        "words set ls rm",
		"secret rm ":                     "words mail web web-api",
		"secret rm web ":                 "words A_KEY b.pem",
		"secret set web A":               "words A_KEY",
		"secret ls web ":                 "words",
		"install --instances 4 x --ins":  "words",
		"install x --name --":            "words",
		"install x -- noo":               "files noodle",
		"install x -- noodle --":         "files",
		"install x -- ":                  "files",
		"generate ":                      "words mail web web-api",
		"help uni":                       "words uninstall",
		"help stat":                      "words status",
		"completion ":                    "words bash zsh fish",
		"completion z":                   "words zsh",
		"completion zsh ":                "words",
		"version ":                       "words",
		"start 'we":                      "files web web-api",
		"'uninstall' \"web-":             "words web-api",
		"--run-as no":                    "words",
		"__comp":                         "words",
	} {
		code := w.do(append([]string{"__complete", "--"}, strings.Split(line, " ")...)...)
		var got []string
		for l := range strings.Lines(w.out.String()) {
			value, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			got = append(got, value)
		}
		if s := strings.Join(got, " "); s != want || code != exitDone || w.err.Len() > 0 {
			t.Errorf("%q: got %q, want %q (status %d, stderr %s)", line, s, want, code, w.err.String())
		}
	}
	w.do("__complete", "--", "install", "--rest")
	if want := "words\n--restart\trestart ended workers: always, on-failure or no\n"; w.out.String() != want {
		t.Errorf("got %q, want %q", w.out.String(), want)
	}
}

// TestCompleteQuietly checks that completion returns no error for any command line, and prints one line per candidate.
func TestCompleteQuietly(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 2)
	word := rapid.OneOf(
		rapid.SampledFrom([]string{"", "start", "install", "web@", "--restart=", "-i", "--", "-", "$(x)", "'", "\"",
			"a\nb", "start\n", "--env", "=", "@", "*"}),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(word, 0, 5).Draw(t, "words")
		code := w.do(append([]string{"__complete", "--"}, words...)...)
		lines := strings.Split(strings.TrimSuffix(w.out.String(), "\n"), "\n")
		if code != exitDone || w.err.Len() > 0 || (lines[0] != "words" && lines[0] != "files" && lines[0] != "dirs") {
			t.Fatalf("%q: got status %d, stdout %q, stderr %q", words, code, w.out.String(), w.err.String())
		}
		for _, l := range lines[1:] {
			if strings.Count(l, "\t") != 1 {
				t.Fatalf("%q: got the line %q", words, l)
			}
		}
	})
}

// TestCompleteUnreadable checks that completion returns no apps and no error if it cannot read the store.
func TestCompleteUnreadable(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 2)
	w.store.Config = "/dev/null/nothing"
	w.store.Units = "/dev/null/nothing"
	for _, last := range []string{"", "web@"} {
		if code := w.do("__complete", "--", "stop", last); code != exitDone || w.err.Len() > 0 || strings.Contains(w.out.String(), "web") {
			t.Errorf("got status %d, stdout %q, stderr %q", code, w.out.String(), w.err.String())
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	w := newWorld(t)
	for shell, want := range map[string]string{"bash": "complete -o nosort -F", "zsh": "#compdef clusterctl\n",
		"fish": "complete -c clusterctl"} {
		if code := w.do("completion", shell); code != exitDone || !strings.Contains(w.out.String(), want) ||
			strings.Contains(w.out.String(), "eval") && strings.Contains(w.out.String(), "eval ") {
			t.Errorf("got status %d, stdout %s, stderr %s", code, w.out.String(), w.err.String())
		}
	}
	for args, want := range map[string]string{
		"completion":          "completion: missing argument: bash, zsh or fish\nhint: clusterctl completion bash|zsh|fish",
		"completion zhs":      "completion: unknown shell \"zhs\"\nhint: did you mean \"clusterctl completion zsh\"?",
		"completion install":  "completion: unknown shell \"install\"\nhint: clusterctl completion bash, or zsh, or fish",
		"completion bash zsh": "completion: unexpected argument \"zsh\"\nhint: clusterctl completion bash|zsh|fish",
	} {
		want = "clusterctl: " + strings.ReplaceAll(want, "\n", "\nclusterctl: ") + "\n"
		if code := w.do(strings.Fields(args)...); code != exitUsage || w.err.String() != want || w.out.Len() > 0 {
			t.Errorf("%s: got status %d, stderr %s", args, code, w.err.String())
		}
	}
}
