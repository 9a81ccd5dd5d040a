//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// takenOver is an app with one worker that runs every script it receives.
type takenOver struct {
	kit.App
}

// takeOver installs testdata/takeover.py in a directory of the app's user. more are flags.
func takeOver(t *testing.T, m *kit.Machine, name string, port int, directory string, more ...string) takenOver {
	t.Helper()
	m.CopyIn(t, "testdata/takeover.py", directory+"/takeover.py")
	flags := []string{directory + "/takeover.py", "--listen", fmt.Sprint(port), "--settle", "200ms"}
	return takenOver{kit.Install(t, m, name, 1, port, slices.Concat(flags, more, []string{"--", fmt.Sprint(port)})...)}
}

// sh runs a script in the worker, and returns its output.
func (a takenOver) sh(t *testing.T, script string) string {
	t.Helper()
	r := a.Machine.Run(t.Context(), "curl", "-sS", "--retry", "5", "--retry-connrefused", "--data-binary", script, a.URL("/"))
	if r.Code != 0 {
		t.Fatalf("%s: %q: %v", a.Name, script, r)
	}
	return strings.TrimSpace(r.Stdout)
}

// refuses fails the test when a script succeeds in the worker. what describes the forbidden action.
func (a takenOver) refuses(t *testing.T, what, script string) {
	t.Helper()
	if got := a.sh(t, script+" && echo GOT"); strings.HasSuffix(got, "GOT") {
		t.Errorf("%s: a worker can %s:\n%s\n%s", a.Name, what, script, got)
	}
}

// permits fails the test when a script fails in the worker. what describes the action, on which programs may rely.
func (a takenOver) permits(t *testing.T, what, script string) {
	t.Helper()
	if got := a.sh(t, script+" && echo GOT"); !strings.HasSuffix(got, "GOT") {
		t.Errorf("%s: a worker cannot %s:\n%s\n%s", a.Name, what, script, got)
	}
}

// addUser adds a user with a home directory that contains secrets, and returns a directory in that home.
func addUser(t *testing.T, m *kit.Machine, user string) string {
	t.Helper()
	m.Sh(t, "useradd -m -s /bin/bash "+user+" && install -d -o "+user+" /home/"+user+"/app /home/"+user+"/.ssh && "+
		"echo KEY > /home/"+user+"/.ssh/id_ed25519 && echo '# rc' > /home/"+user+"/.bashrc && chown -R "+user+": /home/"+user)
	t.Cleanup(func() { m.Try("userdel -rf " + user) })
	return "/home/" + user + "/app"
}

// startProcessOf starts a process of a user outside of all sandboxes, and returns its PID.
func startProcessOf(t *testing.T, m *kit.Machine, user string) int {
	t.Helper()
	unit := "bystander-" + user
	m.Sh(t, "systemd-run -q --unit="+unit+" -p User="+user+" --service-type=exec sleep infinity")
	t.Cleanup(func() { m.Try("systemctl stop " + unit) })
	return m.MainPID(t, unit+".service")
}

// landlockHasScopes reports whether the kernel, which the machines share with this process, supports scopes of Landlock.
func landlockHasScopes() bool {
	abi, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)
	return e == 0 && abi >= 6
}

// wantSignals fails the test unless a signal to a process outside is refused, on kernels that can refuse it.
func (a takenOver) wantSignals(t *testing.T, pid int) {
	t.Helper()
	script := fmt.Sprintf("kill -0 %d", pid)
	if landlockHasScopes() {
		a.refuses(t, "signal a process outside", script)
	} else {
		a.permits(t, "signal a process outside, on a kernel that cannot refuse it", script)
	}
}

// wantExposure fails the test when the exposure of the first instance in systemd-analyze security is above its limit.
func wantExposure(t *testing.T, a kit.App) {
	t.Helper()
	most := 1.9
	if a.Name == "root-adopted" && a.Machine.Systemd(t) < 257 {
		most = 2.0 // NotifyAccess=all counts 0.2, and user ID 0 counts 0.4
	}
	x := a.Machine.Exposure(t, a.Unit(1))
	t.Logf("%s: exposure %.1f", a.Name, x)
	if x > most {
		t.Errorf("%s: exposure %.1f, want at most %.1f", a.Name, x, most)
	}
}

// TestWorkerCannotLeaveItsSandbox: a worker of a user's app has no access to other processes of that user, to files in the
// user's home outside of the app, or to sockets of daemons that obey the user.
func TestWorkerCannotLeaveItsSandbox(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		dir := addUser(t, m, "alice")
		m.Sh(t, "install -d -o alice /srv/twin && echo x > /srv/twin/data && chown alice /srv/twin/data")
		t.Cleanup(func() { m.Sh(t, "rm -rf /srv/twin") })
		pid := startProcessOf(t, m, "alice")
		twin := takeOver(t, m, "twin", 8301, "/srv/twin")
		for _, c := range []struct {
			name, dir string
			flags     []string
		}{
			{"esc-adopted", dir, nil},
			{"esc-strict", dir, []string{"--sandbox", "strict"}},
			{"esc-native", dir, []string{"--activation", "native"}},
			{"esc-home", "/home/alice", nil},
			{"esc-outside", "/srv/twin", nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := takeOver(t, m, c.name, 8302, c.dir, append(c.flags, "--run-as", "alice")...)
				for _, p := range []int{pid, m.MainPID(t, twin.Unit(1))} {
					a.refuses(t, "write a person's .bashrc", fmt.Sprintf("echo x >> /proc/%d/root/home/alice/.bashrc", p))
					a.refuses(t, "enter another process's files", fmt.Sprintf("ls /proc/%d/root/srv", p))
					a.refuses(t, "open another process's memory", fmt.Sprintf("python3 -c 'open(\"/proc/%d/mem\", \"r+b\")'", p))
					a.refuses(t, "see another process's descriptors", fmt.Sprintf("ls /proc/%d/fd", p))
					a.refuses(t, "take another process's descriptor", takeFD(p))
					if c.name != "esc-native" {
						a.wantSignals(t, p)
					}
				}
				if c.dir != "/srv/twin" {
					a.refuses(t, "touch the directory of another app of its user", "touch /srv/twin/x")
				}
				a.refuses(t, "read the keys of its user", "cat /home/alice/.ssh/id_ed25519")
				a.refuses(t, "read what other apps are", "ls /etc/clusterctl")
				a.refuses(t, "speak on the system bus", "ls /run/dbus/system_bus_socket")
				a.refuses(t, "leave a file in the machine's shared memory", "touch /dev/shm/mark && test -e /proc/1/root/dev/shm/mark")
				m.Sh(t, "! test -e /dev/shm/mark")
				a.refuses(t, "make an io_uring",
					`python3 -c 'import ctypes,sys; sys.exit(ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120)) < 0)'`)
				a.permits(t, "write to /dev/shm", "echo x > /dev/shm/mine")
				a.permits(t, "look up its user", "test \"$(id -un)\" = alice && getent passwd root")
				if c.name != "esc-strict" {
					a.permits(t, "write beside itself", "echo x > "+c.dir+"/state && rm "+c.dir+"/state")
				}
				wantExposure(t, a.App)
			})
		}
		m.Sh(t, fmt.Sprintf("kill -0 %d", pid))
	})
}

// takeFD returns a script that copies a descriptor of a process (pidfd_open(2), pidfd_getfd(2)). The system call filter of
// an adopted app permits these calls.
func takeFD(pid int) string {
	return fmt.Sprintf(`python3 -c 'import ctypes,sys; c=ctypes.CDLL(None); sys.exit(c.syscall(438, c.syscall(434, %d, 0), 1, 0) < 0)'`,
		pid)
}

// TestRootWorkerIsConfined: a worker that runs as root has no access to other processes of the machine, or to its managers.
func TestRootWorkerIsConfined(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		m.Sh(t, "install -d /srv/rooted && echo SECRET > /srv/secret && chmod 600 /srv/secret && chown nobody /srv/secret")
		t.Cleanup(func() { m.Sh(t, "rm -rf /srv/rooted /srv/secret") })
		pid := startProcessOf(t, m, "root")
		for _, c := range []struct {
			name  string
			flags []string
		}{{"root-adopted", nil}, {"root-native", []string{"--activation", "native"}}} {
			t.Run(c.name, func(t *testing.T) {
				a := takeOver(t, m, c.name, 8303, "/srv/rooted", append(c.flags, "--run-as", "root")...)
				a.wantSignals(t, pid)
				a.refuses(t, "enter another process's files", fmt.Sprintf("ls /proc/%d/root/", pid))
				a.refuses(t, "take another process's descriptor", takeFD(pid))
				a.refuses(t, "read a file of others", "cat /srv/secret")
				a.refuses(t, "set a kernel parameter", "echo 1 > /proc/sys/kernel/sysrq")
				a.refuses(t, "speak with PID 1",
					"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/systemd/private\")'")
				a.refuses(t, "speak on the system bus",
					"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/dbus/system_bus_socket\")'")
				a.refuses(t, "read root's home", "ls /root/.profile")
				a.refuses(t, "add a unit", "touch /run/systemd/system/x.service")
				a.refuses(t, "write to /run", "touch /run/x || touch /run/lock/x")
				wantExposure(t, a.App)
			})
		}
	})
}

// TestExposureOfEachKind: every kind of app has the promised exposure, including background apps and dynamic users.
func TestExposureOfEachKind(t *testing.T) {
	suite().Sequential(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		wantExposure(t, takeOver(t, m, "kind-dynamic", 8304, "/opt/e2e").App)
		for _, user := range []string{"dynamic", "root", "www-data"} {
			name := "kind-" + user + "-bg"
			b := kit.Install(t, m, name, 1, 0, name, "--no-listen", "--run-as", user, "--settle", "200ms", "--", ticker)
			wantExposure(t, b)
		}
	})
}

// TestWorkerSeesOnlyItsPartOfAHome: in a home directory, a worker sees only what its program needs. The program may be
// reached by a link from outside of the home, or by a link that a deploy changes.
func TestWorkerSeesOnlyItsPartOfAHome(t *testing.T) {
	suite().Sequential(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		dir := addUser(t, m, "ann")
		m.Sh(t, `cd /home/ann && mkdir -p mono/packages/api mono/node_modules releases/1 deploy/releases/1 \
			deploy/releases/2 tool/bin tool/lib data 'odd: %d' &&
			echo 1 > deploy/releases/1/version && echo 2 > deploy/releases/2/version && ln -s releases/1 deploy/current &&
			echo '{}' > mono/package.json && echo mod > mono/node_modules/mod && echo lib > tool/lib/lib && echo conf > data/conf &&
			ln -s $(command -v python3) tool/bin/python3 && ln -s /home/ann/app /srv/link && chown -R ann: . && chmod 755 .`)
		t.Cleanup(func() { m.Sh(t, "rm -f /srv/link") })
		hidden := func(a takenOver) {
			t.Helper()
			a.refuses(t, "read the keys of its user", "cat /home/ann/.ssh/id_ed25519")
			a.refuses(t, "read the rest of the home", "cat /home/ann/.bashrc")
			a.refuses(t, "write elsewhere in the home", "touch /home/ann/x")
		}
		t.Run("a link from outside", func(t *testing.T) {
			a := takeOver(t, m, "home-link", 8305, "/srv/link", "--run-as", "ann")
			hidden(a)
			a.permits(t, "write to its directory", "touch /srv/link/x")
			m.Sh(t, "rm "+dir+"/x")
		})
		t.Run("a link to a release", func(t *testing.T) {
			m.CopyIn(t, "testdata/takeover.py", "/home/ann/deploy/releases/2/takeover.py")
			a := takeOver(t, m, "home-release", 8306, "/home/ann/deploy/current", "--run-as", "ann")
			hidden(a)
			if got := a.sh(t, "cat version"); got != "1" {
				t.Errorf("version %q, want 1", got)
			}
			m.Sh(t, "ln -sfn releases/2 /home/ann/deploy/current")
			m.Must(t, "reload", "home-release")
			if got := a.sh(t, "cat version && touch written"); got != "2" {
				t.Errorf("after the reload version %q, want 2", got)
			}
		})
		t.Run("a package of a project", func(t *testing.T) {
			a := takeOver(t, m, "home-mono", 8307, "/home/ann/mono/packages/api", "--run-as", "ann")
			hidden(a)
			a.permits(t, "read the project around it", "cat /home/ann/mono/node_modules/mod")
			a.refuses(t, "write to the project around it", "touch /home/ann/mono/x")
		})
		t.Run("an interpreter in the home", func(t *testing.T) {
			m.Sh(t, "install -d -o ann /srv/ann")
			t.Cleanup(func() { m.Sh(t, "rm -rf /srv/ann") })
			a := takeOver(t, m, "home-tool", 8308, "/srv/ann", "--run-as", "ann", "--interpreter", "/home/ann/tool/bin/python3",
				"--ro", "/home/ann/data", "--rw", "/home/ann/odd: %d")
			hidden(a)
			a.permits(t, "read what is installed beside its interpreter", "cat /home/ann/tool/lib/lib")
			a.permits(t, "read --ro", "cat /home/ann/data/conf")
			a.refuses(t, "write to --ro", "touch /home/ann/data/x")
			a.permits(t, "write to --rw", "touch '/home/ann/odd: %d/x'")
			if !strings.Contains(a.Output.Stdout+a.Output.Stderr, "home: the workers see ") {
				t.Errorf("install does not print what the workers see:\n%s", a.Output)
			}
		})
		t.Run("a program in the home itself", func(t *testing.T) {
			a := takeOver(t, m, "home-whole", 8309, "/home/ann", "--run-as", "ann")
			a.refuses(t, "read the keys of its user", "cat /home/ann/.ssh/id_ed25519")
			a.permits(t, "read the rest", "cat /home/ann/.bashrc")
			if !strings.Contains(a.Output.Stdout+a.Output.Stderr, "is a whole home") {
				t.Errorf("install does not print that the directory is a whole home:\n%s", a.Output)
			}
		})
	})
}

// TestAllowOpensTheSandbox: each value of --allow opens its part of the sandbox.
func TestAllowOpensTheSandbox(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm, lab.Trixie}, func(t *testing.T, m *kit.Machine) {
		dir := addUser(t, m, "amy")
		pid := startProcessOf(t, m, "amy")
		for word, script := range map[string]string{
			"home": "cat /home/amy/.bashrc",
			"io-uring": `python3 -c 'import ctypes,sys; sys.exit(ctypes.CDLL(None).syscall(425, 1, ` +
				`ctypes.create_string_buffer(120)) < 0)'`,
			"namespaces": "unshare -Ur true",
			"ptrace":     `python3 -c 'import ctypes,os,sys; sys.exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0) < 0)'`,
			"shm":        "touch /dev/shm/amy && sh -c 'test $(stat -fc %i /dev/shm) = '$(stat -fc %i /dev/shm)",
			"sockets":    "ls /run/dbus/system_bus_socket",
			"users":      fmt.Sprintf("kill -0 %d && ls /proc/%d/root/srv", pid, pid),
		} {
			t.Run(word, func(t *testing.T) {
				a := takeOver(t, m, "allow-"+word, 8310, dir, "--run-as", "amy", "--allow", word)
				if word == "io-uring" && m.Try(script).Code != 0 {
					script = "true" // the container refuses it to everybody
				}
				a.permits(t, word, script)
				if word == "shm" {
					m.Sh(t, "rm /dev/shm/amy")
				}
			})
		}
	})
}
