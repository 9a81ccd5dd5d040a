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

// takenOver is an app that simulates a worker that an attacker controls. The worker runs each script that it receives in
// a request.
type takenOver struct {
	kit.App
}

// takeOver installs testdata/takeover.py in a directory as an app. The user of the app must own the directory. The
// parameter extraFlags contains additional flags.
func takeOver(t *testing.T, m *kit.Machine, name string, port int, directory string, extraFlags ...string) takenOver {
	t.Helper()
	m.CopyIn(t, "testdata/takeover.py", directory+"/takeover.py")
	flags := []string{directory + "/takeover.py", "--listen", fmt.Sprint(port), "--settle", "200ms"}
	return takenOver{kit.Install(t, m, name, 1, port, slices.Concat(flags, extraFlags, []string{"--", fmt.Sprint(port)})...)}
}

// sh runs a script in the worker, and returns the output of the script.
func (a takenOver) sh(t *testing.T, script string) string {
	t.Helper()
	r := a.Machine.Run(t.Context(), "curl", "-sS", "--retry", "5", "--retry-connrefused", "--data-binary", script, a.URL("/"))
	if r.Code != 0 {
		t.Fatalf("%s: %q: %v", a.Name, script, r)
	}
	return strings.TrimSpace(r.Stdout)
}

// wantRefused fails the test if  a script succeeds in the worker. The parameter action describes the script in the
// failure text.
func (a takenOver) wantRefused(t *testing.T, action, script string) {
	t.Helper()
	if got := a.sh(t, script+" && echo GOT"); strings.HasSuffix(got, "GOT") {
		t.Errorf("%s: a worker can %s, want a failure:\n%s\n%s", a.Name, action, script, got)
	}
}

// wantPermitted fails the test if  a script fails in the worker. The parameter action describes the script in the
// failure text.
func (a takenOver) wantPermitted(t *testing.T, action, script string) {
	t.Helper()
	if got := a.sh(t, script+" && echo GOT"); !strings.HasSuffix(got, "GOT") {
		t.Errorf("%s: a worker cannot %s, want success:\n%s\n%s", a.Name, action, script, got)
	}
}

// addUser adds a user, and writes secret files into the home directory. addUser returns the path of a directory for an
// app in this home directory.
func addUser(t *testing.T, m *kit.Machine, user string) string {
	t.Helper()
	m.Sh(t, "useradd -m -s /bin/bash "+user+" && install -d -o "+user+" /home/"+user+"/app /home/"+user+"/.ssh && "+
		"echo KEY > /home/"+user+"/.ssh/id_ed25519 && echo '# rc' > /home/"+user+"/.bashrc && chown -R "+user+": /home/"+user)
	t.Cleanup(func() { m.Try("userdel -rf " + user) })
	return "/home/" + user + "/app"
}

// startProcessOf starts a process as a user, without a sandbox, and returns the PID.
func startProcessOf(t *testing.T, m *kit.Machine, user string) int {
	t.Helper()
	unit := "bystander-" + user
	m.Sh(t, "systemd-run -q --unit="+unit+" -p User="+user+" --service-type=exec sleep infinity")
	t.Cleanup(func() { m.Try("systemctl stop " + unit) })
	return m.MainPID(t, unit+".service")
}

// landlockHasScopes reports whether the kernel of the host supports Landlock scopes, which restrict signals. The machines
// are containers, so they have the same kernel.
func landlockHasScopes() bool {
	abi, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)
	return e == 0 && abi >= 6
}

// wantNoSignals fails the test if the worker can send a signal to a process outside of its sandbox. On a kernel
// without Landlock scopes, wantNoSignals checks the opposite: the worker must be able to send the signal.
func (a takenOver) wantNoSignals(t *testing.T, pid int) {
	t.Helper()
	script := fmt.Sprintf("kill -0 %d", pid)
	if landlockHasScopes() {
		a.wantRefused(t, "send a signal to a process outside of the sandbox", script)
	} else {
		a.wantPermitted(t, "send a signal to a process outside of the sandbox on a kernel without Landlock scopes", script)
	}
}

// wantExposure fails the test if the exposure level of the first instance is too high (systemd-analyze security). The
// maximum is 2.0 for an adopted app that runs as root with systemd before 257, and 1.9 for all other apps.
func wantExposure(t *testing.T, a kit.App) {
	t.Helper()
	most := 1.9
	if a.Name == "root-adopted" && a.Machine.Systemd(t) < 257 {
		most = 2.0 // NotifyAccess=all adds 0.2, and user ID 0 adds 0.4
	}
	x := a.Machine.Exposure(t, a.Unit(1))
	t.Logf("%s: exposure %.1f", a.Name, x)
	if x > most {
		t.Errorf("%s: exposure %.1f, want at most %.1f", a.Name, x, most)
	}
}

// TestWorkerCannotLeaveItsSandbox runs scripts in a worker with the user ID of alice. The scripts must not get access to
// other processes of alice, to files in her home outside of the app, or to the sockets of system daemons.
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
					a.wantRefused(t, "write to the .bashrc of its user through another process",
						fmt.Sprintf("echo x >> /proc/%d/root/home/alice/.bashrc", p))
					a.wantRefused(t, "read the root directory of another process", fmt.Sprintf("ls /proc/%d/root/srv", p))
					a.wantRefused(t, "open the memory of another process",
						fmt.Sprintf("python3 -c 'open(\"/proc/%d/mem\", \"r+b\")'", p))
					a.wantRefused(t, "list the file descriptors of another process", fmt.Sprintf("ls /proc/%d/fd", p))
					a.wantRefused(t, "copy a file descriptor of another process", copyFD(p))
					if c.name != "esc-native" {
						a.wantNoSignals(t, p)
					}
				}
				if c.dir != "/srv/twin" {
					a.wantRefused(t, "write to the directory of another app of its user", "touch /srv/twin/x")
				}
				a.wantRefused(t, "read the keys of its user", "cat /home/alice/.ssh/id_ed25519")
				a.wantRefused(t, "list the apps of the machine", "ls /etc/clusterctl")
				a.wantRefused(t, "reach the socket of the system bus", "ls /run/dbus/system_bus_socket")
				a.wantRefused(t, "write to the /dev/shm of the machine",
					"touch /dev/shm/mark && test -e /proc/1/root/dev/shm/mark")
				m.Sh(t, "! test -e /dev/shm/mark")
				a.wantRefused(t, "create an io_uring",
					`python3 -c 'import ctypes,sys; sys.exit(ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120)) < 0)'`)
				a.wantPermitted(t, "write to its own /dev/shm", "echo x > /dev/shm/mine")
				a.wantPermitted(t, "read the name of its user", "test \"$(id -un)\" = alice && getent passwd root")
				if c.name != "esc-strict" {
					a.wantPermitted(t, "write to its own directory", "echo x > "+c.dir+"/state && rm "+c.dir+"/state")
				}
				wantExposure(t, a.App)
			})
		}
		m.Sh(t, fmt.Sprintf("kill -0 %d", pid))
	})
}

// copyFD returns a script that copies a file descriptor of a process with pidfd_open(2) and pidfd_getfd(2). The system
// call filter of an adopted app permits these calls, so other parts of the sandbox must refuse the copy.
func copyFD(pid int) string {
	return fmt.Sprintf(`python3 -c 'import ctypes,sys; c=ctypes.CDLL(None); sys.exit(c.syscall(438, c.syscall(434, %d, 0), 1, 0) < 0)'`,
		pid)
}

// TestRootWorkerIsConfined runs scripts in a worker that runs as root. The scripts must not get access to other
// processes, to files of other users, to PID 1 or to the system bus.
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
				a.wantNoSignals(t, pid)
				a.wantRefused(t, "read the root directory of another process", fmt.Sprintf("ls /proc/%d/root/", pid))
				a.wantRefused(t, "copy a file descriptor of another process", copyFD(pid))
				a.wantRefused(t, "read a file that only another user may read", "cat /srv/secret")
				a.wantRefused(t, "set a kernel parameter", "echo 1 > /proc/sys/kernel/sysrq")
				a.wantRefused(t, "connect to PID 1",
					"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/systemd/private\")'")
				a.wantRefused(t, "connect to the system bus",
					"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/dbus/system_bus_socket\")'")
				a.wantRefused(t, "read the home of root", "ls /root/.profile")
				a.wantRefused(t, "add a unit", "touch /run/systemd/system/x.service")
				a.wantRefused(t, "write to /run", "touch /run/x || touch /run/lock/x")
				wantExposure(t, a.App)
			})
		}
	})
}

// TestExposureOfEachKind checks the exposure level of apps with and without a port, as a dynamic user, as root and as
// another user.
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

// TestWorkerSeesOnlyItsPartOfAHome installs programs that are in a home directory. The worker must be able to read the
// files of its program, but no other file in the home. The subtests reach the program through links, in a subdirectory of
// a project, through an interpreter in the home, and directly in the home.
func TestWorkerSeesOnlyItsPartOfAHome(t *testing.T) {
	suite().Sequential(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		dir := addUser(t, m, "ann")
		m.Sh(t, `cd /home/ann && mkdir -p mono/packages/api mono/node_modules releases/1 deploy/releases/1 \
			deploy/releases/2 tool/bin tool/lib data 'odd: %d' &&
			echo 1 > deploy/releases/1/version && echo 2 > deploy/releases/2/version && ln -s releases/1 deploy/current &&
			echo '{}' > mono/package.json && echo mod > mono/node_modules/mod && echo lib > tool/lib/lib && echo conf > data/conf &&
			ln -s $(command -v python3) tool/bin/python3 && ln -s /home/ann/app /srv/link && chown -R ann: . && chmod 755 .`)
		t.Cleanup(func() { m.Sh(t, "rm -f /srv/link") })
		wantHidden := func(a takenOver) {
			t.Helper()
			a.wantRefused(t, "read the keys of its user", "cat /home/ann/.ssh/id_ed25519")
			a.wantRefused(t, "read another file in the home", "cat /home/ann/.bashrc")
			a.wantRefused(t, "create a file in the home", "touch /home/ann/x")
		}
		t.Run("a link outside of the home", func(t *testing.T) {
			a := takeOver(t, m, "home-link", 8305, "/srv/link", "--run-as", "ann")
			wantHidden(a)
			a.wantPermitted(t, "write to its own directory", "touch /srv/link/x")
			m.Sh(t, "rm "+dir+"/x")
		})
		t.Run("a link to a release directory", func(t *testing.T) {
			m.CopyIn(t, "testdata/takeover.py", "/home/ann/deploy/releases/2/takeover.py")
			a := takeOver(t, m, "home-release", 8306, "/home/ann/deploy/current", "--run-as", "ann")
			wantHidden(a)
			if got := a.sh(t, "cat version"); got != "1" {
				t.Errorf("got version %q, want 1", got)
			}
			m.Sh(t, "ln -sfn releases/2 /home/ann/deploy/current")
			m.Must(t, "reload", "home-release")
			if got := a.sh(t, "cat version && touch written"); got != "2" {
				t.Errorf("after the reload: got version %q, want 2", got)
			}
		})
		t.Run("a package in a larger project", func(t *testing.T) {
			a := takeOver(t, m, "home-mono", 8307, "/home/ann/mono/packages/api", "--run-as", "ann")
			wantHidden(a)
			a.wantPermitted(t, "read the project that contains its directory", "cat /home/ann/mono/node_modules/mod")
			a.wantRefused(t, "write to the project outside of its directory", "touch /home/ann/mono/x")
		})
		t.Run("an interpreter in the home", func(t *testing.T) {
			m.Sh(t, "install -d -o ann /srv/ann")
			t.Cleanup(func() { m.Sh(t, "rm -rf /srv/ann") })
			a := takeOver(t, m, "home-tool", 8308, "/srv/ann", "--run-as", "ann", "--interpreter", "/home/ann/tool/bin/python3",
				"--ro", "/home/ann/data", "--rw", "/home/ann/odd: %d")
			wantHidden(a)
			a.wantPermitted(t, "read the library directory of its interpreter", "cat /home/ann/tool/lib/lib")
			a.wantPermitted(t, "read the path of --ro", "cat /home/ann/data/conf")
			a.wantRefused(t, "write to the path of --ro", "touch /home/ann/data/x")
			a.wantPermitted(t, "write to the path of --rw", "touch '/home/ann/odd: %d/x'")
			if !strings.Contains(a.Output.Stdout+a.Output.Stderr, "home: the workers see ") {
				t.Errorf("clusterctl install does not print the paths in the home that the workers can read:\n%s", a.Output)
			}
		})
		t.Run("a program directly in the home", func(t *testing.T) {
			a := takeOver(t, m, "home-whole", 8309, "/home/ann", "--run-as", "ann")
			a.wantRefused(t, "read the keys of its user", "cat /home/ann/.ssh/id_ed25519")
			a.wantPermitted(t, "read other files in the home", "cat /home/ann/.bashrc")
			if !strings.Contains(a.Output.Stdout+a.Output.Stderr, "is a whole home") {
				t.Errorf("clusterctl install does not print that the directory of the app is a whole home:\n%s", a.Output)
			}
		})
	})
}

// TestAllowOpensTheSandbox installs an app with each value of --allow. The worker must be able to run a script that the
// sandbox refuses without this value.
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
					script = "true" // the container of the test refuses io_uring to all processes
				}
				a.wantPermitted(t, "use --allow "+word, script)
				if word == "shm" {
					m.Sh(t, "rm /dev/shm/amy")
				}
			})
		}
	})
}
