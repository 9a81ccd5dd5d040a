package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
	"github.com/clusterctl/clusterctl/units"
)

// shellTimeout is the time after which a test kills a shell that hangs.
const shellTimeout = 5 * time.Minute

// shellWorld is a directory with a script "clusterctl" for shells. The script completes the names of test apps. For any
// other command, it writes its arguments to a file.
type shellWorld struct {
	*world
	bin, called, pwned string
}

func newShellWorld(t *testing.T) shellWorld {
	t.Helper()
	w := shellWorld{world: newWorld(t)}
	w.called, w.pwned = filepath.Join(w.dir, "called"), filepath.Join(w.dir, "pwned")
	w.installApp(t, "web", 12)
	w.installApp(t, "mail", 1)
	w.file(t, "wd/server.js", "", 0o644)
	w.file(t, "wd/my program.js", "", 0o644)
	w.mkdir(t, "wd/there", 0o755)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A program with the race detector sleeps for one second before it exits, unless atexit_sleep_ms is 0.
	w.bin = filepath.Dir(w.file(t, "bin/clusterctl", fmt.Sprintf(`#!/bin/sh
if [ "$1" = __complete ]; then
	GORACE=atexit_sleep_ms=0 %s='%s' exec '%s' "$@"
fi
for a; do printf '[%%s]' "$a"; done > '%s'
`, storeVariable, w.dir, self, w.called), 0o755))
	w.file(t, "bin/sudo", "#!/bin/sh\nexec \"$@\"\n", 0o755)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code := w.do("completion", shell); code != exitDone {
			t.Fatalf("got stderr %s", w.err.String())
		}
		// The tests make each shell look for its completion script in this directory.
		name := map[string]string{"bash": "share/bash/completions/clusterctl", "zsh": "share/zsh/_clusterctl",
			"fish": "share/fish/clusterctl.fish"}[shell]
		w.file(t, name, w.out.String(), 0o644)
	}
	return w
}

func (w shellWorld) share(name string) string { return filepath.Join(w.dir, "share", name) }

// command returns a shell without the environment of the test.
func (w shellWorld) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := patience.WithTimeout(t.Context(), shellTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = filepath.Join(w.dir, "wd")
	cmd.Env = []string{
		"PATH=" + w.bin + ":/usr/bin:/bin", "HOME=" + w.dir, "TERM=dumb", "LC_ALL=C.UTF-8",
		"ZDOTDIR=" + w.dir, "BASH_COMPLETION_USER_DIR=" + w.share("bash"),
	}
	return cmd
}

// behindSudo is a command line that begins with "sudo". TAB completes it only in a shell whose completion of sudo calls the
// completion of clusterctl.
const behindSudo = "sudo clusterctl restart mail@\t-q"

// typedKeys returns a map. Each key is a typed command line with TAB, and its value contains the arguments that
// clusterctl gets after completion.
func typedKeys() map[string]string {
	return map[string]string{
		"clusterctl unin\tma\t-y":               "[uninstall][mail][-y]",
		"clusterctl restart mail@\t":            "[restart][mail@1]",
		"clusterctl -q restart we\tmail@\t":     "[-q][restart][web][mail@1]",
		"clusterctl stop web@10\tmai\t":         "[stop][web@10][mail]",
		"clusterctl install x --restart=al\t":   "[install][x][--restart=always]",
		"clusterctl install x --sandbox st\t-q": "[install][x][--sandbox][strict][-q]",
		"clusterctl install serv\t-i ma\t":      "[install][server.js][-i][max]",
		"clusterctl install my\t":               "[install][my program.js]",
		"clusterctl install --env-file=serv\tx": "[install][--env-file=server.js][x]",
		"clusterctl install x --cwd th\t":       "[install][x][--cwd][there]",
		"clusterctl install x --dry-r\t":        "[install][x][--dry-run]",
		"clusterctl completion fi\t":            "[completion][fish]",
		"clusterctl help gene\t":                "[help][generate]",
		behindSudo:                              "[restart][mail@1][-q]",
	}
}

// harmfulWords returns words that create a file if a shell evaluates them. Completion must not evaluate the words.
func (w shellWorld) harmfulWords() []string {
	touch := "touch " + w.pwned
	return []string{
		"$(" + touch + ")", "`" + touch + "`", "'$(" + touch + ")'", "\"$(" + touch + ")\"", "'", "\"", "\"`" + touch + "`",
		"a b", "*", "~root", "$HOME", "${x:=$(" + touch + ")}", "$((a[$(" + touch + ")]))", "<(" + touch + ")",
		";" + touch, "&&", "a\\", "-x$(" + touch + ")",
		"--restart=$(" + touch + ")", "web@$(" + touch + ")", "new\nline", ";" + touch + "\n" + touch, "\t", "é", "%s%n", "--", "",
	}
}

func (w shellWorld) wantUnharmed(t *testing.T, what string) {
	t.Helper()
	if _, err := os.Lstat(w.pwned); err == nil {
		t.Errorf("%s: the shell evaluated a word of the command line", what)
		_ = os.Remove(w.pwned)
	}
}

// terminal is an interactive shell on a separate terminal, which script(1) creates.
type terminal struct {
	t   *testing.T
	in  io.WriteCloser
	out io.Reader
	log strings.Builder
}

const prompt = "=READY="

func (w shellWorld) terminal(t *testing.T, shell string) *terminal {
	t.Helper()
	cmd := w.command(t, "script", "-q", "-e", "-c", shell, "/dev/null")
	term := &terminal{t: t}
	var err error
	if term.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if term.out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (\"make deps\" installs the shells)", err)
	}
	t.Cleanup(func() {
		_ = term.in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	term.await(prompt)
	return term
}

// The method await reads the output of the shell until it contains a text.
func (term *terminal) await(text string) {
	term.t.Helper()
	buf, seen := make([]byte, 4096), ""
	for !strings.Contains(seen, text) {
		n, err := term.out.Read(buf)
		seen += string(buf[:n])
		term.log.Write(buf[:n])
		if err != nil {
			term.t.Fatalf("waiting for %q: got error %v and the output\n%s", text, err, term.log.String())
		}
	}
}

// The method enter types a line and waits for the next prompt.
func (term *terminal) enter(line string) {
	term.t.Helper()
	if _, err := io.WriteString(term.in, line+"\n"); err != nil {
		term.t.Fatal(err)
	}
	term.await(prompt)
}

// typesAll types all lines into an interactive shell.
func (w shellWorld) typesAll(t *testing.T, shell string, without ...string) {
	t.Helper()
	term := w.terminal(t, shell)
	for line, want := range typedKeys() {
		if slices.Contains(without, line) {
			continue
		}
		_ = os.Remove(w.called)
		term.enter(line)
		got, _ := os.ReadFile(w.called)
		// zsh removes the slash that it adds after the name of a directory. The other shells keep it.
		if strings.ReplaceAll(string(got), "/]", "]") != want {
			t.Errorf("%q: got %s, want %s", line, got, want)
		}
	}
	// The harmful word is in front of the word that TAB completes. zsh itself would evaluate the word under the cursor.
	// Ctrl-U deletes the line.
	for _, word := range w.harmfulWords() {
		// Without a closing quote, the rest of the line is one word under the cursor, so zsh itself evaluates it.
		open := strings.Count(word, "'")%2+strings.Count(word, `"`)%2 > 0
		if open && len(word) > 1 || strings.ContainsAny(word, "\n\t") {
			continue
		}
		term.enter("clusterctl stop " + word + " we\t\x15")
		w.wantUnharmed(t, word)
	}
	w.wantUnharmed(t, shell)
	if t.Failed() {
		t.Log(term.log.String())
	}
}

func TestBash(t *testing.T) {
	w := newShellWorld(t)
	inputrc := "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; PS1='" + prompt + "'; PROMPT_COMMAND=\n"
	plain := w.file(t, "plain.bash", inputrc+"source "+w.share("bash/completions/clusterctl")+"\n", 0o644)
	lazy := w.file(t, "lazy.bash", inputrc+"source /usr/share/bash-completion/bash_completion\n", 0o644)
	t.Run("alone", func(t *testing.T) { w.typesAll(t, "bash --noprofile --rcfile "+plain+" -i", behindSudo) })
	t.Run("with bash-completion", func(t *testing.T) { w.typesAll(t, "bash --noprofile --rcfile "+lazy+" -i") })
	t.Run("called", func(t *testing.T) {
		// bash splits words at "=" and "@" before it calls the function.
		for _, c := range []struct {
			words []string
			want  string
		}{
			{[]string{"clusterctl", " stop", " we"}, "web"},
			{[]string{"clusterctl", " stop", " mail", "@"}, "@1"},
			{[]string{"clusterctl", " stop", " web", "@", "1"}, "@1 @10 @11 @12"},
			{[]string{"clusterctl", " install", " --restart", "=", "o"}, "on-failure"},
			{[]string{"clusterctl", " install", " x", " --restart", "="}, "always on-failure no"},
			{[]string{"clusterctl", " ", ""}, ""},
		} {
			if got := w.callBash(t, plain, c.words); got != c.want && c.want != "" {
				t.Errorf("%q: got %q, want %q", c.words, got, c.want)
			}
		}
		for _, word := range w.harmfulWords() {
			w.callBash(t, plain, []string{"clusterctl", " stop", " " + word})
			w.wantUnharmed(t, word)
			if got := w.callBash(t, plain, []string{"clusterctl", " stop", " " + word, " ma"}); got != "mail" &&
				word != "--" && !strings.ContainsAny(word, "\n\t") {
				t.Errorf("after %q: got %q", word, got)
			}
			w.wantUnharmed(t, word)
		}
	})
}

// callBash calls the completion function as bash does. Each word contains the blanks in front of it. The cursor is at the
// end of the line.
func (w shellWorld) callBash(t *testing.T, rc string, words []string) string {
	t.Helper()
	const call = `shopt -s expand_aliases; source "$1" 2>/dev/null; shift
COMP_LINE=$1; COMP_POINT=${#COMP_LINE}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
set -u; _clusterctl; echo "${COMPREPLY[*]}"`
	args := []string{"--noprofile", "--norc", "-c", call, "bash", rc, strings.Join(words, "")}
	for _, word := range words {
		args = append(args, strings.TrimPrefix(word, " "))
	}
	out, err := w.command(t, "bash", args...).Output()
	if err != nil {
		t.Errorf("%q: got error %v\n%s", words, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestZsh(t *testing.T) {
	w := newShellWorld(t)
	const setup = "unset zle_bracketed_paste; setopt no_beep; PS1='" + prompt + "'; PROMPT_EOL_MARK=; unsetopt prompt_cr prompt_sp\n"
	t.Run("in fpath", func(t *testing.T) {
		w.file(t, ".zshrc", setup+"fpath=("+w.share("zsh")+" $fpath); autoload -Uz compinit; compinit -u -D\n", 0o644)
		w.typesAll(t, "zsh -d -i")
	})
	t.Run("sourced", func(t *testing.T) {
		w.file(t, ".zshrc", setup+"autoload -Uz compinit; compinit -u -D; source "+w.share("zsh/_clusterctl")+"\n", 0o644)
		w.typesAll(t, "zsh -d -i")
	})
}

func TestFish(t *testing.T) {
	w := newShellWorld(t)
	complete := func(line string) string {
		t.Helper()
		cmd := w.command(t, "fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", w.share("fish/clusterctl.fish"), line)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v (\"make deps\" installs the shells)\n%s", line, err, out)
		}
		var got []string
		for l := range strings.Lines(string(out)) {
			value, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			got = append(got, value)
		}
		slices.Sort(got)
		return strings.Join(got, "|")
	}
	for line, want := range map[string]string{
		"clusterctl uni":                              "uninstall",
		"clusterctl stop ":                            "all|mail|web",
		"clusterctl stop mail@":                       "mail@1",
		"clusterctl stop web@1":                       "web@1|web@10|web@11|web@12",
		"clusterctl install x --restart=":             "--restart=always|--restart=no|--restart=on-failure",
		"clusterctl install x --sandbox s":            "strict",
		"clusterctl install ser":                      "server.js",
		"clusterctl install my":                       "my program.js",
		"clusterctl install --env-file=ser":           "--env-file=server.js",
		"clusterctl install x --cwd th":               "there/",
		"clusterctl install x --dry":                  "--dry-run",
		"clusterctl completion ":                      "bash|fish|zsh",
		"clusterctl -q stop web ma":                   "mail",
		"clusterctl install x -- clusterct":           "clusterctl",
		"clusterctl uninstall 'ma":                    "mail",
		"clusterctl stop $(touch " + w.pwned + ") ma": "mail",
	} {
		if got := complete(line); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	args := []string{"--no-config", "-c", "source $argv[1]; for line in $argv[2..-1]; complete -C $line; end",
		w.share("fish/clusterctl.fish")}
	for _, word := range w.harmfulWords() {
		args = append(args, "clusterctl stop "+word, "clusterctl stop "+word+" ma")
	}
	if out, err := w.command(t, "fish", args...).CombinedOutput(); err != nil {
		t.Errorf("got error %v\n%s", err, out)
	}
	w.wantUnharmed(t, "one of "+strings.Join(w.harmfulWords(), " "))
}

// TestCompletionReadsNames checks that completion reads only the names of the files of apps, not their contents.
func TestCompletionReadsNames(t *testing.T) {
	w := newWorld(t)
	for i := range 200 {
		w.file(t, fmt.Sprintf("config/app%d.yaml", i), "{", 0o000)
	}
	w.installApp(t, units.Name("web"), 1)
	if w.do("__complete", "--", "stop", ""); strings.Count(w.out.String(), "\n") != 1+201+1 {
		t.Errorf("got stdout %s, stderr %s", w.out.String(), w.err.String())
	}
}
