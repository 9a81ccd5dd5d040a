package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		Reexec() // returns in the child, but not in the keeper of its machine
		childMain()
		return
	}
	Main(m)
}

// TestBoot boots each release. TestBoot checks the version of systemd, the network, the journal on disk and the tools, and
// that no unit has failed.
func TestBoot(t *testing.T) {
	for _, tt := range []struct {
		release Release
		systemd int
	}{
		{Bullseye, 247}, {Bookworm, 252}, {Trixie, 257}, {Sid, 262}, {Workers, 252},
	} {
		t.Run(string(tt.release), func(t *testing.T) {
			t.Parallel()
			m := Boot(t, tt.release)
			// The version of systemd in unstable increases over time.
			if got := m.Systemd(t); got < tt.systemd || got > tt.systemd && tt.release != Sid {
				t.Errorf("got systemd %d, want %d", got, tt.systemd)
			}
			if failed := m.Sh(t, "systemctl --failed --no-legend --plain"); failed != "" {
				t.Errorf("failed units after boot:\n%s", failed)
			}
			if got := m.Sh(t, "getent hosts localhost >&2; hostname"); got != m.Name() {
				t.Errorf("got the host name %q, want %q", got, m.Name())
			}
			if got := m.Sh(t, "ls /var/log/journal/$(cat /etc/machine-id)"); !strings.Contains(got, "system.journal") {
				t.Errorf("the journal directory contains %q, want system.journal", got)
			}
			if got := m.Sh(t, "ip -o link | wc -l"); got != "1" {
				t.Errorf("got %s network interfaces, want only loopback", got)
			}
			if got := m.Sh(t, "find /run/systemd -path '/run/systemd/generator*' -type l"); got != "" {
				t.Errorf("a generator ran and created %s", got)
			}
			if n := len(m.ReadFile(t, "/proc/self/cgroup")); n == 0 {
				t.Error("/proc/self/cgroup is empty")
			}
			if got := m.Sh(t, "node --version && python3 --version && curl --version"); !strings.HasPrefix(got, "v") {
				t.Errorf("the tools printed %q", got)
			}
		})
	}
}

// TestWorkers checks that the languages and servers of the image Workers run.
func TestWorkers(t *testing.T) {
	m := Shared(t, Workers)
	for _, c := range []string{
		"bun --version", "deno --version", "gunicorn --version", "uvicorn --version", "ruby --version", "php --version",
		"nginx -v", "gcc --version", "python3 -c 'import aiohttp'", "test -f /usr/share/bash-completion/bash_completion",
		`cd /opt/npm && node -e 'require("express")()'`,
	} {
		if r := m.Try(c); r.Code != 0 {
			t.Errorf("%s: got %v", c, r)
		}
	}
	if got := m.Try("systemctl is-enabled nginx").Stdout; got == "enabled\n" {
		t.Error("nginx is enabled at boot")
	}
}

// TestRun checks the results of Run, Try and Sh.
func TestRun(t *testing.T) {
	m := Shared(t, Bookworm)
	for _, tt := range []struct {
		script string
		want   Result
	}{
		{"echo out; echo err >&2", Result{Stdout: "out\n", Stderr: "err\n"}},
		{"exit 7", Result{Code: 7}},
		{"kill -TERM $$", Result{Code: 128 + 15}},
		{"pwd; id -u", Result{Stdout: "/\n0\n"}},
		{"echo -n $HOME-$LANG-$CLUSTERCTL_LAB_KEEPER", Result{Stdout: "/root-C.UTF-8-"}},
		{"sleep 1000 & echo in background", Result{Stdout: "in background\n"}},
	} {
		if got := m.Try(tt.script); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.script, got, tt.want)
		}
	}
	m.Sh(t, "pkill -x sleep")
	if r := m.Run(t.Context(), "no-such-program"); r.Code != 127 {
		t.Errorf("a missing program: got %v, want code 127", r)
	}
	if got := m.Sh(t, "printf 'a\\n\\n'"); got != "a\n" {
		t.Errorf("Sh returned %q, want only the last newline removed", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if r := m.Run(ctx, "sleep", "4242"); r.Code != -1 {
		t.Errorf("after the end of the context: got %v, want code -1", r)
	}
	if r := m.Try("pgrep -f '[s]leep 4242'"); r.Code != 1 {
		t.Errorf("a command runs after the end of its context: %v", r)
	}
}

// TestStart checks that a command of Start ends at the end of its test.
func TestStart(t *testing.T) {
	m := Shared(t, Bookworm)
	t.Run("inner", func(t *testing.T) {
		m.Start(t, "sh", "-c", "sleep 4343; true")
		p := m.Start(t, "sh", "-c", "echo started; sleep 4344; true")
		if p.Ended() {
			t.Error("Ended returned true for a running command")
		}
		if r := p.Stop(); r.Code != 128+9 {
			t.Errorf("Stop returned %v, want code 137", r)
		}
		m.Sh(t, "mkfifo /run/q")
		q := m.Start(t, "sh", "-c", "trap 'exit 3' TERM; echo >/run/q; sleep 4345 & wait")
		m.Sh(t, "timeout 60 cat /run/q; rm /run/q")
		if err := q.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if r := q.Wait(); r.Code != 3 {
			t.Errorf("after SIGTERM: got %v, want code 3", r)
		}
	})
	if r := m.Try("pgrep -f '[s]leep 434[345]'"); r.Code != 1 {
		t.Errorf("a command runs after the end of its test: %v", r)
	}
}

// TestFiles checks the contents and modes of files that WriteFile and CopyIn have written, and that WriteFile can replace a
// running program.
func TestFiles(t *testing.T) {
	m := Shared(t, Bookworm)
	t.Cleanup(func() { m.Try("rm -rf /srv/files") })
	data := "no newline \x00\xff\n\n"
	m.WriteFile(t, "/srv/files/deep/a b'c", data, 0o640)
	if got := m.ReadFile(t, "/srv/files/deep/a b'c"); got != data {
		t.Errorf("ReadFile returned %q, want %q", got, data)
	}
	if got := m.Sh(t, "stat -c '%a %U' /srv/files/deep/*"); got != "640 root" {
		t.Errorf("got mode and owner %s, want 640 root", got)
	}
	if b, err := os.ReadFile(filepath.Join(m.Root(), "srv/files/deep/a b'c")); err != nil || string(b) != data {
		t.Errorf("the file below Root contains %q, %v, want %q", b, err, data)
	}
	host := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(host, []byte("#!/bin/sh\necho $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.CopyIn(t, host, "/srv/files/program")
	if got := m.Sh(t, "/srv/files/program hello"); got != "hello" {
		t.Errorf("the copied program printed %q", got)
	}
	m.Sh(t, "cp /bin/sleep /srv/files/sleep")
	m.Start(t, "/srv/files/sleep", "1000")
	m.WriteFile(t, "/srv/files/sleep", "replaced", 0o755) // must not fail with ETXTBSY
}

// TestProcesses checks MainPID and HostPID for the process of a service.
func TestProcesses(t *testing.T) {
	m := Shared(t, Bookworm)
	// With Type=simple, the command could return before the exec, when the process has another name.
	m.Sh(t, "systemd-run --unit=lab-proc --property=Type=exec sleep 1000")
	t.Cleanup(func() { m.Try("systemctl stop lab-proc") })
	pid := m.MainPID(t, "lab-proc.service")
	if got := m.ReadFile(t, fmt.Sprintf("/proc/%d/fdinfo/0", pid)); !strings.Contains(got, "flags:") {
		t.Errorf("fdinfo of MainPID contains %q, want flags", got)
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.HostPID(t, pid)))
	if err != nil || string(comm) != "sleep\n" {
		t.Errorf("HostPID(%d) is the process %q, %v, want sleep", pid, comm, err)
	}
	m.AwaitJournal(t, "Started lab-proc.service", "-b")
}

// TestScopes checks that systemd can move a command of Run into a scope. This works only if the command was started in a
// cgroup of the machine.
func TestScopes(t *testing.T) {
	m := Shared(t, Bookworm)
	if got := m.Sh(t, "systemd-run --quiet --scope --unit=lab-scope grep ^0: "+
		"/proc/self/cgroup"); got != "0::/system.slice/lab-scope.scope" {
		t.Errorf("got the cgroup %s, want lab-scope.scope", got)
	}
}

// TestTwoMachines runs services with the same name in two machines. The stop in one machine must kill all processes of its
// service, and none in the other machine.
func TestTwoMachines(t *testing.T) {
	a, b := Boot(t, Bookworm), Boot(t, Trixie)
	for _, m := range []*Machine{a, b} {
		// The unit is ready when both children exist. The children may not have executed sleep yet.
		m.Sh(t, "systemd-run --unit=twin --property=KillSignal=SIGKILL --property=Type=notify --property=NotifyAccess=all "+
			"sh -c 'sleep 1000 & sleep 1000 & systemd-notify --ready; wait'")
	}
	other := b.MainPID(t, "twin.service")
	a.Sh(t, "systemctl stop twin; ! pgrep -f '[s]leep 1000'")
	if got := b.MainPID(t, "twin.service"); got != other {
		t.Errorf("the service of the other machine has the PID %d, want %d", got, other)
	}
	if got := b.Sh(t, "pgrep -cf '[s]leep 1000'"); got != "3" {
		t.Errorf("the service of the other machine has %s processes, want 3", got)
	}
	b.Sh(t, "systemctl stop twin; ! pgrep -f '[s]leep 1000'")
}

// TestReboot reboots each machine twice, just after daemon-reloads. systemd sends READY=1 after a daemon-reload and after a
// boot. The files on disk must exist after a reboot, and the files in /run must not.
func TestReboot(t *testing.T) {
	for _, release := range All() {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := Boot(t, release)
			reloads := 1
			if release == Sid {
				reloads = 12 // more messages than the queue of a datagram socket holds
			}
			m.Sh(t, "touch /run/volatile")
			m.WriteFile(t, "/etc/systemd/system/up.service",
				"[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n", 0o644)
			m.Sh(t, "systemctl enable up")
			seen := map[string]bool{m.bootID(t): true}
			for i := range 2 {
				m.Sh(t, fmt.Sprintf("for i in $(seq %d); do systemctl daemon-reload; done", reloads))
				m.Reboot(t)
				if id := m.bootID(t); seen[id] {
					t.Fatalf("Reboot %d returned before the reboot", i+1)
				} else {
					seen[id] = true
				}
				if got := m.Sh(t, "systemctl is-active up; ls /run/volatile 2>&1 | grep -c 'No such'"); got != "active\n1" {
					t.Errorf("after reboot %d: got %q, want the unit active and no file in /run", i+1, got)
				}
			}
			if boots := strings.Count(m.Journal(t, "--list-boots"), "\n"); boots < 3 {
				t.Errorf("the journal lists %d boots, want 3", boots)
			}
		})
	}
}

// bootID returns a value that differs between boots: the start time and the PID of the machine's init. The boot_id of the
// kernel does not change, because it is the boot_id of the host.
func (m *Machine) bootID(t *testing.T) string {
	return m.Sh(t, "cat /proc/1/stat | cut -d' ' -f22") + "/" + strconv.Itoa(m.InitPID())
}

// TestShared checks that all callers get the same machine.
func TestShared(t *testing.T) {
	if a, b := Shared(t, Bookworm), Shared(t, Bookworm); a != b {
		t.Errorf("two calls returned the machines %s and %s", a.Name(), b.Name())
	}
}

// TestBuild checks that Build builds a command only once, and that the binary runs on the oldest release.
func TestBuild(t *testing.T) {
	bin := Build(t, "./internal/lab/cmd/labimages")
	if again := Build(t, "./internal/lab/cmd/labimages"); again != bin {
		t.Errorf("two calls returned the binaries %s and %s", bin, again)
	}
	m := Shared(t, Bullseye)
	m.CopyIn(t, bin, "/root/labimages")
	t.Cleanup(func() { m.Try("rm /root/labimages") })
	// The program must start, and fail because the machine does not have its tools.
	if r := m.Try("CLUSTERCTL_LAB_CACHE=/nonexistent PATH= /root/labimages no-such-release"); r.Code != 1 ||
		!strings.HasPrefix(r.Stderr, "lab: ") {
		t.Errorf("got %v, want code 1 and an error of the lab", r)
	}
}
