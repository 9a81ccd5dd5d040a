//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// These are the exit statuses of clusterctl.
const (
	done        = 0
	failed      = 1
	usage       = 2
	notReached  = 3
	notAllowed  = 4
	interrupted = 130
)

// The constant traces is a script that lists everything that clusterctl could leave behind: files with their checksums,
// links, units, failed units and jobs. The script omits clusterctl.slice, because systemd creates this slice for its
// child slices and never removes it. The script omits jobs of systemd's own units, because such a job can start during a
// test: for example, systemd-tmpfiles-clean.timer elapses 15 minutes after the boot.
const traces = `
find /etc/systemd/system /etc/clusterctl /var/lib/clusterctl /run/clusterctl /run/systemd/system /run/systemd/transient /srv /run/*.sock \
	-printf '%p %y %m %u %l\n' 2>/dev/null | sort
find /etc/systemd/system /etc/clusterctl /var/lib/clusterctl -type f -exec cksum {} + 2>/dev/null | sort
systemctl list-units --all --no-legend --plain --type=service,socket,slice |
	awk '{print $1, $2, $3}' | grep -v -e '^systemd-' -e '^user' -e '^dbus-' -e '^clusterctl.slice ' | sort
systemctl list-units --failed --no-legend --plain
systemctl list-jobs --no-legend --plain | grep -v ' systemd-' || true
`

// wantUntouched fails the test unless the output of the script traces has the same lines as before, in any order.
func wantUntouched(t testing.TB, m *kit.Machine, before []string) {
	t.Helper()
	kit.WantSameLines(t, before, kit.Lines(m.Sh(t, traces)))
}

// The type refusal describes a command line that must fail and must not change the machine.
type refusal struct {
	name  string
	setup string // a shell script that prepares the machine
	undo  string // a shell script that runs at the end of the test
	argv  []string
	code  int      // the exit status
	want  []string // texts that stderr must contain
}

// installArguments returns the command line of an install that must fail. --settle is 10 s, but the install does
// not wait so long, because it ends when the first instance exits. The default of --settle is too short on a busy
// machine with systemd 247: systemd reports a native worker as running after the fork, but can need another second to
// prepare the sandbox before it executes the program.
func installArguments(name string, more ...string) []string {
	return slices.Concat([]string{kit.Ctl, "install", name, "-i", "2", "--activation", "native", "--settle", "10s"}, more)
}

// onPort returns the command line of an install with --listen port. This install must fail.
func onPort(name, port string, command ...string) []string {
	return installArguments(name, slices.Concat([]string{"--listen", port, "--"}, command)...)
}

// checkAll runs one subtest for each refusal. The subtest runs the command, checks the exit status and stderr, and checks
// that the command has not changed the machine.
func checkAll(t *testing.T, m *kit.Machine, refusals []refusal) {
	t.Helper()
	for _, r := range refusals {
		if r.undo != "" {
			t.Cleanup(func() { m.Sh(t, r.undo+"\nsystemctl daemon-reload") })
		}
		if r.setup != "" {
			m.Sh(t, r.setup)
		}
	}
	m.Sh(t, "systemctl daemon-reload")
	before := kit.Lines(m.Sh(t, traces))
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			got := m.Run(t.Context(), r.argv...)
			if got.Code != r.code {
				t.Errorf("%q: got exit status %d, want %d: %v", r.argv, got.Code, r.code, got)
			}
			wantError(t, got.Stderr, r.want...)
			if got.Stdout != "" {
				t.Errorf("stdout is %q, want no output", got.Stdout)
			}
			wantUntouched(t, m, before)
			if t.Failed() {
				t.Log(got)
			}
		})
	}
}

// wantError fails the test unless stderr contains a line that begins with "clusterctl: ", and contains all texts in the
// list want.
func wantError(t testing.TB, stderr string, want ...string) {
	t.Helper()
	if !strings.Contains("\n"+stderr, "\nclusterctl: ") {
		t.Errorf("no line of stderr begins with \"clusterctl: \":\n%s", stderr)
	}
	for _, w := range want {
		if !strings.Contains(stderr, w) {
			t.Errorf("%q is missing in the error:\n%s", w, stderr)
		}
	}
	for _, never := range []string{"panic", "goroutine", "%!", "<nil>", "not yet", "internal error"} {
		if strings.Contains(stderr, never) {
			t.Errorf("the error contains %q:\n%s", never, stderr)
		}
	}
}

const hint = "clusterctl: hint: "

// TestNamesThatAreTaken checks that install refuses a name if a unit or a link with this name exists.
func TestNamesThatAreTaken(t *testing.T) {
	refuse := []refusal{
		{name: "dbus", argv: onPort("dbus", "8200", goWorker), code: failed, want: []string{"dbus.s", "/lib/systemd/system/"}},
		{name: "a unit of systemd", argv: onPort("systemd-journald", "8200", goWorker), code: failed,
			want: []string{"systemd-journald.s", hint}},
		{
			name: "ssh", setup: "printf '[Service]\\nExecStart=/bin/true\\n' > /lib/systemd/system/ssh.service",
			undo: "rm -f /lib/systemd/system/ssh.service",
			argv: onPort("ssh", "8200", goWorker), code: failed, want: []string{"ssh.service", hint},
		},
		{
			name: "an alias", setup: "printf '[Service]\\nExecStart=/bin/true\\n' > /lib/systemd/system/ssh.service; " +
				"ln -s ssh.service /lib/systemd/system/sshd.service",
			undo: "rm -f /lib/systemd/system/ssh.service /lib/systemd/system/sshd.service",
			argv: onPort("sshd", "8200", goWorker), code: failed, want: []string{"sshd.service", hint},
		},
		{
			name: "the administrator's own unit", setup: "printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/mine.service",
			undo: "rm -f /etc/systemd/system/mine.service",
			argv: onPort("mine", "8200", goWorker), code: failed, want: []string{"/etc/systemd/system/mine.service", hint},
		},
		{
			name:  "a template of the administrator",
			setup: "printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/mine@.service",
			undo:  "rm -f /etc/systemd/system/mine@.service",
			argv:  onPort("mine", "8200", goWorker), code: failed, want: []string{"/etc/systemd/system/mine@.service", hint},
		},
		{
			name: "a masked unit", setup: "ln -s /dev/null /etc/systemd/system/masked.service",
			undo: "rm -f /etc/systemd/system/masked.service",
			argv: onPort("masked", "8200", goWorker), code: failed, want: []string{"masked.service", "mask", hint},
		},
		{
			name: "a link", setup: "touch /opt/e2e/linked.service; ln -s /opt/e2e/linked.service /etc/systemd/system/linked.service",
			undo: "rm -f /etc/systemd/system/linked.service /opt/e2e/linked.service",
			argv: onPort("linked", "8200", goWorker), code: failed, want: []string{"/etc/systemd/system/linked.service", hint},
		},
	}
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		checkAll(t, m, refuse)
	})
}

// TestProgramsThatCannotRun installs apps whose program cannot run. Every install must fail and must not leave a file
// behind.
func TestProgramsThatCannotRun(t *testing.T) {
	script := func(path, text string) string {
		return "install -D -m 755 /dev/stdin " + path + " <<'EOF'\n" + text + "\nEOF"
	}
	refuse := []refusal{
		{name: "missing", argv: onPort("bad", "8201", "/opt/e2e/missing"), code: failed,
			want: []string{"/opt/e2e/missing", "no such file", hint}},
		{name: "not in PATH", argv: onPort("bad", "8201", "missing-program"), code: failed,
			want: []string{"missing-program", "PATH", hint}},
		{name: "not executable", argv: onPort("bad", "8201", "/etc/hosts"), code: failed,
			want: []string{"/etc/hosts", "not executable", hint + "chmod +x /etc/hosts"}},
		{name: "a directory", argv: onPort("bad", "8201", "/opt/e2e"), code: failed, want: []string{"/opt/e2e", "not a file"}},
		{
			name: "exits with 1", setup: script("/opt/e2e/exit1", "#!/bin/sh\necho the disk is on fire\nexit 1"),
			argv: onPort("bad", "8201", "/opt/e2e/exit1"), code: notReached, want: []string{"bad@", "status 1", "the disk is on fire"},
		},
		{
			name: "exits with 0", setup: script("/opt/e2e/exit0", "#!/bin/sh\necho nothing to do\nexit 0"),
			argv: onPort("bad", "8201", "/opt/e2e/exit0"), code: notReached, want: []string{"bad@", "nothing to do"},
		},
		{
			name: "exits after its start", setup: script("/opt/e2e/exit7", "#!/bin/sh\nsleep 0.3\necho too late\nexit 7"),
			argv: onPort("bad", "8201", "/opt/e2e/exit7"), code: notReached, want: []string{"bad@", "status 7", "too late"},
		},
		{
			name: "is killed", setup: script("/opt/e2e/killed", "#!/bin/sh\nkill -SEGV $$"),
			argv: onPort("bad", "8201", "/opt/e2e/killed"), code: notReached, want: []string{"bad@", "SEGV"},
		},
		{
			name: "never sends READY=1", setup: script("/opt/e2e/silent", "#!/bin/sh\necho I am busy\nexec sleep 1000"),
			argv: installArguments("bad", "--listen", "8201", "--ready", "notify", "--start-timeout", "10s", "--", "/opt/e2e/silent"),
			code: notReached, want: []string{"bad@", "READY=1", "I am busy"},
		},
		{
			name: "has no interpreter", setup: script("/opt/e2e/nointerp", "#!/no/such/interpreter"),
			argv: onPort("bad", "8201", "/opt/e2e/nointerp"), code: notReached, want: []string{"bad@"},
		},
		{name: "missing directory", argv: installArguments("bad", "--listen", "8201", "--cwd", "/no/such/dir", "--", goWorker),
			code: failed, want: []string{"/no/such/dir", hint + "mkdir -p /no/such/dir"}},
		{name: "unknown user", argv: installArguments("bad", "--listen", "8201", "--run-as", "nobodyknows", "--", goWorker),
			code: failed, want: []string{"nobodyknows", hint}},
		{name: "unknown group", argv: installArguments("bad", "--listen", "8201", "--run-as", "nobody:nobodyknows", "--", goWorker),
			code: failed, want: []string{"nobodyknows", hint}},
		{name: "missing environment file", argv: installArguments("bad", "--listen", "8201", "--env-file", "/no/env", "--", goWorker),
			code: failed, want: []string{"/no/env", hint}},
		{
			name: "a program that a dynamic user cannot read", setup: "mkdir -p -m 700 /opt/e2e/private && cp " + goWorker +
				" /opt/e2e/private/", undo: "rm -r /opt/e2e/private",
			argv: onPort("bad", "8201", "/opt/e2e/private/go-worker"), code: failed,
			want: []string{"dynamic user", "/opt/e2e/private", hint},
		},
	}
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		checkAll(t, m, refuse)
	})
}

// TestPortsThatAreTaken checks that install refuses a port or a socket path that is in use. The error must name the app
// or the process that uses the port or path.
func TestPortsThatAreTaken(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "holder", 1, 8202, "--listen", "/run/holder.sock", "--listen", "udp:8203", "--", worker)
		p := m.Start(t, "systemd-cat", "-t", "taken", "python3", "-c", `
import socket
a, b, c = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("127.0.0.1", 8204)); a.listen()
b.bind("/run/e2e-taken.sock"); b.listen()
c.bind(("127.0.0.1", 8205))
print("bound", flush=True)
a.accept()`)
		m.AwaitJournal(t, "bound", "-t", "taken")
		t.Cleanup(func() {
			p.Stop()
			m.Sh(t, "rm -f /run/e2e-taken.sock")
		})
		checkAll(t, m, []refusal{
			{name: "another app", argv: onPort("late", "8202", goWorker), code: failed, want: []string{"8202", "holder", hint}},
			{name: "another app on one address", argv: onPort("late", "127.0.0.1:8202", goWorker), code: failed,
				want: []string{"8202", hint}},
			{name: "another app's path", argv: onPort("late", "/run/holder.sock", goWorker), code: failed,
				want: []string{"/run/holder.sock", "holder"}},
			{name: "another app's datagrams", argv: onPort("late", "udp:8203", worker), code: failed, want: []string{"8203", "holder"}},
			{name: "a process", argv: onPort("late", "8204", goWorker), code: failed, want: []string{"8204", "python3", hint}},
			{name: "a process's path", argv: onPort("late", "/run/e2e-taken.sock", goWorker), code: failed,
				want: []string{"/run/e2e-taken.sock"}},
			{name: "a process's datagrams", argv: onPort("late", "udp:127.0.0.1:8205", worker), code: failed,
				want: []string{"8205", "python3"}},
		})
		if m.Try("curl -fsS http://127.0.0.1:8202/").Code != 0 {
			t.Error("the app that listens on port 8202 does not answer")
		}
	})
}

// TestNoPermission runs commands as an unprivileged user. A command that would change the machine must fail, and must
// print the same command line with sudo. A command that does not change the machine must succeed.
func TestNoPermission(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "perm", 1, 8206, "--", goWorker)
		nobody := func(argv ...string) []string {
			return kit.AsNobody(slices.Insert(argv, 0, kit.Ctl)...)
		}
		checkAll(t, m, []refusal{
			{name: "install", argv: nobody("install", "other", "-i", "1", "--listen", "8207", "--", goWorker),
				code: notAllowed, want: []string{hint + "sudo clusterctl install other -i 1 --listen 8207 -- " + goWorker}},
			{name: "uninstall", argv: nobody("uninstall", "--yes", "perm"), code: notAllowed,
				want: []string{hint + "sudo clusterctl uninstall --yes perm"}},
			{name: "stop", argv: nobody("stop", "perm"), code: notAllowed, want: []string{hint + "sudo clusterctl stop perm"}},
			{name: "restart", argv: nobody("restart", "perm@1"), code: notAllowed, want: []string{hint}},
		})
		for _, command := range [][]string{{"ls"}, {"ls", "--json"}, {"show", "perm"}, {"cat", "perm"}, {"version"}} {
			if r := m.Run(t.Context(), nobody(command...)...); r.Code != 0 {
				t.Errorf("%v as an unprivileged user: want exit status 0: %v", command, r)
			}
		}
		a.WantUp(t)
	})
}

// TestNoSystemd runs commands with an empty /run, as on a machine without systemd.
func TestNoSystemd(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		without := func(argv ...string) []string {
			return append([]string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /run && exec "$0" "$@"`, kit.Ctl}, argv...)
		}
		checkAll(t, m, []refusal{
			{name: "install", argv: without("install", "none", "-i", "1", "--activation", "native", "--listen", "8208", "--", goWorker),
				code: failed, want: []string{"systemd", hint}},
			{name: "stop", argv: without("stop", "none"), code: failed, want: []string{"none"}},
			{name: "ls", argv: without("ls"), code: failed, want: []string{"systemd is not running here", hint}},
		})
		for _, argv := range [][]string{{"version"}, {"generate", "x", "--listen", "80", "-i", "1", "--", "/bin/x"}} {
			if r := m.Run(t.Context(), without(argv...)...); r.Code != 0 {
				t.Errorf("%v without systemd: want exit status 0: %v", argv, r)
			}
		}
	})
}

// TestUsage runs invalid command lines.
func TestUsage(t *testing.T) {
	bad := func(args ...string) []string { return append([]string{kit.Ctl}, args...) }
	refuse := []refusal{
		{name: "space in the name", argv: onPort("a b", "8209", goWorker), want: []string{`"a b"`, hint}},
		{name: "path as the name", argv: onPort("../x", "8209", goWorker), want: []string{`"../x"`}},
		{name: "empty name", argv: onPort("", "8209", goWorker), want: []string{"name"}},
		{name: "long name", argv: onPort(strings.Repeat("x", 300), "8209", goWorker), want: []string{"longer than"}},
		{name: "@ in the name", argv: onPort("a@b", "8209", goWorker), want: []string{`"a@b"`}},
		{name: "suffix in the name", argv: onPort("x.service", "8209", goWorker), want: []string{"x.service", "use x"}},
		{name: "newline in the name", argv: onPort("a\nb", "8209", goWorker), want: []string{`"a\nb"`}},
		{name: "escape sequence in the name", argv: onPort("a\x1b[31m", "8209", goWorker), want: []string{`\x1b`}},
		{name: "name with a leading dash", argv: onPort("-x", "8209", goWorker), want: []string{"-x"}},
		{name: "fractional instance count", argv: bad("install", "x", "--instances", "0.5", "--listen", "8209", "--", goWorker),
			want: []string{`"0.5"`, hint}},
		{name: "too many instances", argv: bad("install", "x", "-i", "1001", "--listen", "8209", "--", goWorker), want: []string{"1001"}},
		{name: "port out of range", argv: onPort("x", "70000", goWorker), want: []string{"70000", hint}},
		{name: "host name", argv: onPort("x", "localhost:80", goWorker), want: []string{"localhost"}},
		{name: "same port twice", argv: installArguments("x", "--listen", "8209", "--listen", "8209", "--", goWorker),
			want: []string{"8209"}},
		{name: "--listen and --no-listen", argv: installArguments("x", "--listen", "8209", "--no-listen", "--", goWorker),
			want: []string{"--no-listen"}},
		{name: "unknown activation", argv: bad("install", "x", "--activation", "magic", "--listen", "8209", "--", goWorker),
			want: []string{"magic"}},
		{name: "unknown flag", argv: bad("install", "x", "--lisen", "8209", "--", goWorker),
			want: []string{"--lisen", hint + "did you mean --listen?"}},
		{name: "unknown flag after the name", argv: bad("install", "x", "--nonsense", "--listen", "8209", "--", goWorker),
			want: []string{"--nonsense"}},
		{name: "unknown command", argv: bad("instal", "x"), want: []string{`"instal"`, hint + `did you mean "clusterctl install"?`}},
		{name: "missing program", argv: bad("install", "x", "--listen", "8209", "--"), want: []string{"program", hint}},
		{name: "missing name", argv: bad("install", "--listen", "8209", "--", goWorker), want: []string{"NAME"}},
		{name: "two names", argv: bad("install", "x", "y", "--listen", "8209", "--", goWorker), want: []string{`"y"`}},
		{name: "variable without a value", argv: installArguments("x", "--listen", "8209", "--env", "A", "--", goWorker),
			want: []string{`"A"`, hint}},
		{name: "invalid variable name", argv: installArguments("x", "--listen", "8209", "--env", "1A=b", "--", goWorker),
			want: []string{"1A"}},
		{name: "no terminal for the confirmation", setup: "true", argv: bad("uninstall", "usage-there"),
			want: []string{hint + "sudo clusterctl uninstall usage-there --yes"}},
	}
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "usage-there", 1, 8210, "--", goWorker)
		for i := range refuse {
			refuse[i].code = usage
		}
		checkAll(t, m, refuse)
		checkAll(t, m, []refusal{
			{name: "no such app", argv: bad("uninstall", "--yes", "usage-her"), code: failed, want: []string{"usage-her"}},
			{name: "stop of a missing app", argv: bad("stop", "nope"), code: failed, want: []string{"nope"}},
			{name: "no such instance", argv: bad("stop", "usage-there@2"), code: failed, want: []string{"usage-there", hint}},
			{name: "no such revision", argv: bad("rollback", "usage-there"), code: failed, want: []string{"has no earlier revision"}},
			{name: "missing file", argv: bad("apply"), code: failed, want: []string{"clusterctl.yaml", hint}},
			{name: "app not in the file", argv: bad("diff", "nope"), code: failed, want: []string{"nope"}},
		})
	})
}
