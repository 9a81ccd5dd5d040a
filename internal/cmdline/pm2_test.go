package cmdline

import (
	"slices"
	"strings"
	"testing"
)

// TestPM2SameFlags checks flags of PM2 that have the same meaning as a flag of clusterctl.
func TestPM2SameFlags(t *testing.T) {
	for typed, want := range map[string]string{
		"--kill-timeout 1600":           "stop-timeout=1600000000 ",
		"--kill-timeout=1600":           "stop-timeout=1600000000 ",
		"-k 1600":                       "stop-timeout=1600000000 ",
		"-k 5s":                         "stop-timeout=5000000000 ",
		"--listen-timeout 8000":         "start-timeout=8000000000 ",
		"--listen-timeout 2m":           "start-timeout=120000000000 ",
		"--no-autorestart":              `restart="no" `,
		"--stop-exit-codes 0":           `restart="on-failure" `,
		"--stop-exit-codes=0":           `restart="on-failure" `,
		"--uid www":                     `run-as="www" `,
		"-u www --gid web":              `run-as="www:web" `,
		"--gid=web --name --uid -u=www": `run-as="www:web" `,
		"--gid web --run-as www":        `run-as="www:web" `,
		"-s":                            "quiet=true",
		"--silent":                      "quiet=true",
		"--max-restarts 16":             "max-restarts=16 ",
		"-i 0":                          `instances="0" `,
	} {
		p := parse(appTemplate().normalise(slices.Concat([]string{"clusterctl", "install", "app.js"}, strings.Fields(typed))))
		if p.err != "" || !strings.Contains(p.flags, want) || !slices.Equal(p.operands, []string{"app.js"}) {
			t.Errorf("%s: got error %q, operands %q, flags\n%s", typed, p.err, p.operands, p.flags)
		}
	}
	p := parse(appTemplate().normalise([]string{"clusterctl", "logs", "--nostream"}))
	if p.err != "" || !strings.Contains(p.flags, "no-follow=true ") {
		t.Errorf("--nostream: got error %q, flags\n%s", p.err, p.flags)
	}
}

// TestTranslate checks that translate replaces a command of PM2, even after flags, and that it does not change commands of
// clusterctl.
func TestTranslate(t *testing.T) {
	tree := appTemplate()
	tree.StartsProgram = func(operands []string) bool { return operands[0] == "app.js" }
	for typed, want := range map[string]string{
		"jlist":                    "ls --json",
		"-q prettylist web":        "-q ls --json web",
		"ls web":                   "ls web",
		"start app.js -i 4":        "install app.js -i 4",
		"-q start -i 4 app.js":     "-q install -i 4 app.js",
		"start web":                "start web",
		"start":                    "start",
		"save":                     "save",
		"gracefulReload web":       "reload web",
		"-n jlist uninstall":       "-n jlist uninstall",
		"":                         "",
		"--quiet":                  "--quiet",
		"nothing-of-that-name web": "nothing-of-that-name web",
	} {
		args := append([]string{"clusterctl"}, strings.Fields(typed)...)
		if got := strings.Join(tree.translate(args)[1:], " "); got != want {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}
