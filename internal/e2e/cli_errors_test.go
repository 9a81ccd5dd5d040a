//go:build lab

package e2e

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

var update = flag.Bool("update", false, "write testdata/cli-errors.txt")

const errorsFile = "testdata/cli-errors.txt"

// callerPrefixes maps each caller to a command line prefix. With this prefix, clusterctl runs as a certain user, or with
// some files of the machine hidden.
func callerPrefixes() map[string][]string {
	without := func(mounts string) []string {
		return []string{"unshare", "--mount", "sh", "-c", mounts + ` && exec "$0" "$@"`}
	}
	return map[string][]string{
		"root":    nil,
		"nobody":  kit.AsNobody(),
		"no-bus":  without("mount -t tmpfs none /run/dbus && mount --bind /dev/null /run/systemd/private"),
		"no-init": without("mount -t tmpfs none /run"),
		"full":    without("mount -t tmpfs -o nr_inodes=2 none /var/lib && touch /var/lib/full"),
	}
}

// errorCases returns command lines that clusterctl must refuse. The field caller is a key of callerPrefixes. A line
// consists of words that are separated by spaces. A pair of single quotes is an empty word. The app err-web has two
// instances, and the configuration of err-bad is invalid.
func errorCases() []struct{ caller, lines string } {
	return []struct{ caller, lines string }{
		{"root", `frobnicate
instal x
lsit
--nope
--nope ls
help nope
help install cat
pm2
startup
save
monit`},
		// Missing and unexpected operands.
		{"root", `install
install a b
generate
generate a b -- /bin/true
package
package a b
uninstall
uninstall a b
start
stop
restart
reload
reset
signal
signal HUP
scale
scale err-web
scale 3 err-web
show
env
cat
cat a b
rollback
rollback a 1 b
apply
diff
version x
completion
completion tcsh
completion bash zsh
ls --json=maybe`},
		// Apps and instances that do not exist.
		{"root", `start err-wbe
start err-web@3
start err-web@0
start err-web@x
stop 0
stop ''
stop err-web* nothing
restart zz*
restart err-web@9*
reload /(/
reload /zz/
reload err-web[
reset ../x
reset nothing err-web@7
signal HUP nothing
scale nothing 3
uninstall nothing
uninstall err-web@1
show nothing
env nothing
cat nothing
cat all
ls nothing
install all -- /bin/true
install x.service -- /bin/true
install a/b -- /bin/true
install '' -- /bin/true`},
		// Invalid values of flags.
		{"root", `install x -i many -l 1 -- GO
install x -i 0.5 -l 1 -- GO
install x -i 1001 -l 1 -- GO
install x -l 70000 -- GO
install x -l localhost:80 -- GO
install x -l /tmp/a.log -- GO
install x -l 8209 -l 8209 -- GO
install x -l 8209 --no-listen -- GO
install x --listen
install x --activation magic -l 1 -- GO
install x --ready soon -l 1 -- GO
install x --restart alway -l 1 -- GO
install x --sandbox of -l 1 -- GO
install x --drain epol -l 1 -- GO
install x --run-as nobody-at-all -l 1 -- GO
install x --trust nobody-at-all -l 1 -- GO
install x --cwd /nowhere -l 1 -- GO
install x --cwd
install x --env A -l 1 -- GO
install x --env production -l 1 -- GO
install x -e /tmp/err.log -l 1 -- GO
install x --env 1A=b -l 1 -- GO
install x --env-file /nowhere -l 1 -- GO
install x --env - --env - -l 1 -- GO
install x --secret-env 1A -l 1 -- GO
install x --secret-env A --env A=1 -l 1 -- GO
install x --secret-env A -l 8209 --activation native -- GO
install x --rw /nowhere -l 1 -- GO
install x --ro /nowhere -l 1 -- GO
install x --allow io_uring -l 1 -- GO
install x --increment A -l 1 -- GO
install x --increment A=b -l 1 -- GO
install x --min-uptime 0 -l 1 -- GO
install x --min-uptime 5 -l 1 -- GO
install x --log-namespace --log-max-size 1 -l 1 -- GO
install x --log-namespace --log-max-age 5 -l 1 -- GO
install x --log-max-size 100M -l 1 -- GO
install x --log-rate fast -l 1 -- GO
install x --socket-mode rw -l /run/x.sock -- GO
install x --socket-user nobody-at-all -l /run/x.sock -- GO
install x --socket-group nobody-at-all -l /run/x.sock -- GO
install x --socket-group www-data -l 1 -- GO
install x --max-restarts some -l 1 -- GO
install x --max-restarts -1 -l 1 -- GO
install x --start-timeout -5s -l 1 -- GO
install x --drain-timeout soon -l 1 -- GO
install x --stop-timeout soon -l 1 -- GO
install x --surge many -l 1 -- GO
install x --surge -1 -l 1 -- GO
install x --probe-timeout -1s -- GO
install x --settle -1s -l 1 -- GO
install x --name a@b -l 1 -- GO
install x --name
install x --interpreter node -l 1 -- GO
install x --interpreter-args=-u -l 1 -- GO
install x --node-args=--inspect -l 1 -- GO
install /etc/hosts --interpreter nothing-like-it -l 1
install x --log-namespace --log-max-size lots -l 1 -- GO
install x --log-namespace --log-max-age never -l 1 -- GO
install x --log-max-size 1G -l 1 -- GO
install x --pin=perhaps -l 1 -- GO
install x --nonsense -l 1 -- GO
install x -qz -- GO
generate x --no-listen --secret-env A-B -- /bin/true
generate x --no-listen --cpus 0 -- /bin/true
generate x --no-listen --cpus many -- /bin/true
generate x --no-listen --systemd-version 246 -- /bin/true
generate x --no-listen --output /dev/null/x -- /bin/true
package x --package-version v1
package x --depends nodejs;ls
package x --maintainer me
package x --arch AMD
package nobody-has-this
generate x -- /bin/true
generate x --no-listen -- true
generate x --no-listen
start err-web --settle soon
start err-web --instances 3
restart err-web --settle -1s
reload err-web --batch 0
reload err-web --surge -1
reload err-web --timeout -1s
reload err-web@1 --surge 1
scale err-web 0
scale err-web many
scale err-web -2
scale err-web +1000
scale err-web@1 3
scale err-web 3 --timeout soon
signal NOPE err-web
signal TREM err-web
signal 65 err-web
ls --sort cup
ls --interval 1ms
ls --interval x
uninstall err-web
uninstall err-web -f`},
		// Invalid programs, and options that only PM2 has.
		{"root", `install nothing.js
install x
install /opt/e2e/err.config.js
install pm2-logrotate
install x -l 1 -- /nowhere
install x -l 1 -- nothing-like-it
install x -l 1 -- /etc/hosts
install x -l 1 -- /opt/e2e
install npm-thing --watch -- GO
install x --max-memory-restart 300M -- GO
install x --cron 5 -- GO
install x --gid web -l 1 -- GO
install x --stop-exit-codes 1 -- GO
start python3 -- app
stop err-web.js
start err-web --kill-timeout 3000`},
		// An app with an invalid configuration.
		{"root", `show err-bad
start err-bad
stop err-bad err-web
cat err-bad
reload err-b*`},
		{"root", `logs nothing
logs --lines some
logs err-web --since never
logs err-web --until never
logs --priority loud
logs --priority warnin
logs --grep
logs --highlight
logs err-web --boot=x
logs --timestamp=%Q
logs --out
logs --follow --no-follow
logs --raw --json
secret
secret set err-web
secret get err-web A
secret ls nothing
secret ls err-web A
secret set err-web A=1
secret set err-web a/b
secret rm err-web A
secret rm err-web A --json
flush
flush nothing
flush err-web
package
package nothing
package err-web --output
package err-web --package-version
package err-web --maintainer nobody
package err-web --arch
package err-web --include /nowhere
package err-web --depends
package err-web --systemd-version 246`},
		{"root", `apply -f /nowhere.yaml
apply -f
apply -f /opt/e2e/err.yaml
apply -f /opt/e2e/err.yaml nothing
diff -f /opt/e2e/err.yaml
diff --all err-web nothing
diff -f /nowhere.yaml
diff --exit-code=x
rollback nothing
rollback err-web 99
rollback err-web x
rollback err-web
show nothing --revisions`},
		{"nobody", `install x -l 8209 -- GO
uninstall --yes err-web
start err-web
stop err-web err-web@1
restart err-web@1
reload err-web
reload err-web --surge 1
scale err-web 3
signal HUP err-web
reset err-web@1
env err-web --running
secret set err-web A
secret rm err-web A
apply -f /opt/e2e/err.yaml
rollback err-web`},
		{"no-bus", `ls
show err-web
start err-web
stop all
reload err-web
scale err-web 3
signal HUP err-web
install x -i 1 -l 8209 --activation native -- GO
uninstall --yes err-web`},
		{"no-init", `ls err-web
stop err-web
restart err-web
install x -i 1 -l 8209 --activation native -- GO`},
		{"full", `install x -i 1 -l 8209 --activation native -- GO
uninstall --yes err-web`},
	}
}

// TestErrorTable runs command lines that clusterctl must refuse, and compares the exit status and stderr with
// testdata/cli-errors.txt. "go test -tags lab -run TestErrorTable -update" writes this file. The commands must not write
// to stdout, and must not change the machine.
func TestErrorTable(t *testing.T) {
	m := suite().Shared(t, lab.Bookworm)
	a := kit.InstallNative(t, m, "err-web", 2, 8212, "--", goWorker)
	t.Cleanup(func() {
		m.Sh(t, "rm -rf /etc/clusterctl/err-bad.yaml /opt/e2e/err.yaml /opt/e2e/err.config.js /etc/systemd/system/err-bad.service.d")
	})
	m.WriteFile(t, "/etc/clusterctl/err-bad.yaml", "name: err-bad\nspeed: 3\ncommand: [/bin/true]\n", 0o644)
	m.WriteFile(t, "/opt/e2e/err.yaml", "apps:\n  one:\n    command: [/bin/true]\n    instances: lots\n  two:\n"+
		"    commnd: [/bin/true]\n", 0o644)
	m.WriteFile(t, "/opt/e2e/err.config.js", "module.exports = {}\n", 0o644)
	pids := a.PIDs(t)
	before := kit.Lines(m.Sh(t, traces))
	var got strings.Builder
	fmt.Fprintln(&got, "# clusterctl refuses these command lines. "+
		"A block shows the caller, the command line, the exit status and stderr. GO is a native worker.")
	for _, group := range errorCases() {
		for _, line := range strings.Split(group.lines, "\n") {
			argv := slices.Concat(callerPrefixes()[group.caller], []string{kit.Ctl}, wordsOf(line))
			r := m.Run(t.Context(), argv...)
			stderr := regexp.MustCompile(`/proc/\d+/`).ReplaceAllString(strings.ReplaceAll(r.Stderr, goWorker, "GO"), "/proc/PID/")
			fmt.Fprintf(&got, "\n%s$ clusterctl %s\nexit %d\n%s", group.caller, line, r.Code, stderr)
			wantRefused(t, group.caller+"$ "+line, r)
		}
	}
	wantUntouched(t, m, before)
	kit.WantNotReplaced(t, pids, a.PIDs(t))
	a.WantUp(t)
	if *update {
		if err := os.WriteFile(errorsFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(errorsFile)
	if err != nil {
		t.Fatal(err)
	}
	compareBlocks(t, got.String(), string(want))
}

// wordsOf returns the words of a line of errorCases.
func wordsOf(line string) []string {
	words := strings.Fields(line)
	for i, w := range words {
		switch w {
		case "''":
			words[i] = ""
		case "GO":
			words[i] = goWorker
		}
	}
	return words
}

// wantRefused fails the test unless the exit status is an error, stdout is empty, and stderr contains a line that begins
// with "clusterctl: ". stderr must not contain a help text, a Go panic or a D-Bus name.
func wantRefused(t *testing.T, what string, r lab.Result) {
	t.Helper()
	if r.Code < failed || r.Code > notAllowed || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "clusterctl: ") &&
		!strings.Contains(r.Stderr, "\nclusterctl: ") {
		t.Errorf("%s: want an error on stderr, an empty stdout, and an exit status from %d to %d: %v",
			what, failed, notAllowed, r)
	}
	for _, never := range []string{"panic", "goroutine", "%!", "<nil>", "EXIT STATUS", "USAGE:", "org.freedesktop", "internal error"} {
		if strings.Contains(r.Stderr, never) {
			t.Errorf("%s: the error contains %q:\n%s", what, never, r.Stderr)
		}
	}
}

// compareBlocks compares the texts got and want block by block, and fails the test for each difference. Empty lines
// separate the blocks.
func compareBlocks(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n\n"), strings.Split(want, "\n\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Errorf("this block is missing:\n%s", w[i])
		case i >= len(w):
			t.Errorf("this block is unexpected:\n%s", g[i])
		case strings.TrimSpace(g[i]) != strings.TrimSpace(w[i]):
			t.Errorf("got:\n%s\nwant:\n%s", g[i], w[i])
		}
	}
}
