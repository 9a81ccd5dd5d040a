//go:build lab

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// listenerFlags returns the status flags of the app's TCP listener in each worker. The keys of the map have the form
// "UNIT fd FD".
func listenerFlags(t testing.TB, a kit.App) map[string]uint64 {
	t.Helper()
	listening := listenerInodes(t, a)
	flags := make(map[string]uint64)
	for _, u := range a.Units() {
		pid := a.Machine.HostPID(t, a.Machine.MainPID(t, u))
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			link, err := os.Readlink(fd)
			if err != nil || !listening[link] {
				continue
			}
			flags[u+" fd "+filepath.Base(fd)] = fdFlags(t, pid, filepath.Base(fd))
		}
	}
	return flags
}

// fdFlags returns the status flags of a file descriptor (proc_pid_fdinfo(5)).
func fdFlags(t testing.TB, pid int, fd string) uint64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "flags:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(v), 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/proc/%d/fdinfo/%s contains no line \"flags:\"", pid, fd)
	return 0
}

// listenerInodes returns the targets of those links in /proc/PID/fd that refer to the app's TCP listener, as
// "socket:[INODE]".
func listenerInodes(t testing.TB, a kit.App) map[string]bool {
	t.Helper()
	port, err := strconv.Atoi(strings.Trim(a.URL("/")[strings.LastIndexByte(a.URL("/"), ':')+1:], "/"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", a.Machine.InitPID(), table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			// In the table of TCP sockets in /proc, 0A means that the socket listens.
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("no process listens on port %d", port)
	}
	return found
}

// wantNonblocking fails the test unless every worker has the listener, and O_NONBLOCK is set on it.
func wantNonblocking(t testing.TB, a kit.App, when string) {
	t.Helper()
	flags := listenerFlags(t, a)
	if len(flags) < a.Instances {
		t.Errorf("%s: only %d of %d workers have the listener: %v", when, len(flags), a.Instances, flags)
	}
	for fd, f := range flags {
		if f&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: O_NONBLOCK is not set on %s (flags %#o)", when, fd, f)
		}
	}
}

// TestListenerStaysNonblocking checks O_NONBLOCK after every kind of start. All workers share one listener and its flags.
// PID 1 sets or clears O_NONBLOCK each time it starts a unit that inherits the listener.
func TestListenerStaysNonblocking(t *testing.T) {
	workers := []struct {
		name string
		port int
		args []string
	}{
		{"nb-go", 8120, []string{"--", goWorker}},
		{"nb-node", 8121, []string{"--", "node", nodeFD}},
		{"nb-python", 8122, []string{"--ready", "notify", "--", pyWorker}},
	}
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		b := kit.DialBus(t, m)
		for _, w := range workers {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				a := kit.InstallNative(t, m, w.name, 2, w.port, w.args...)
				awaitListening(t, a)
				wantNonblocking(t, a, "after the install")
				for _, command := range []string{
					"systemctl restart " + a.Name,
					"systemctl restart " + a.Name + "@2",
					"systemctl stop " + a.Name + " && systemctl start " + a.Name,
					"systemctl start " + a.Name, // the app runs already
					"systemctl reload " + a.Name,
				} {
					m.Sh(t, command)
					awaitListening(t, a)
					wantNonblocking(t, a, "after "+command)
				}
				var k killCount
				pid := m.MainPID(t, a.Unit(1))
				if err := k.countAndKill(t, m, pid); err != nil {
					t.Fatal(err)
				}
				b.Await(t, "the killed instance runs again", kit.RunsOther(pid), a.Unit(1))
				awaitListening(t, a)
				wantNonblocking(t, a, "after kill -9")
				a.WantUp(t)
			})
		}
	})
}

// TestServiceWithoutNonBlockingClearsFlag sets NonBlocking=no in the app's main service. PID 1 must then clear O_NONBLOCK
// when it starts the main service. This shows that NonBlocking=yes is necessary, and that TestListenerStaysNonblocking
// can fail.
func TestServiceWithoutNonBlockingClearsFlag(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "nb-not", 2, 8123, "--", goWorker)
		drop := "/etc/systemd/system/nb-not.service.d/90-test.conf"
		m.WriteFile(t, drop, "[Service]\nNonBlocking=no\n", 0o644)
		t.Cleanup(func() {
			m.Sh(t, "rm -f "+drop+"; rmdir --ignore-fail-on-non-empty /etc/systemd/system/nb-not.service.d; systemctl daemon-reload")
		})
		m.Sh(t, "systemctl daemon-reload && systemctl restart nb-not")
		for fd, f := range listenerFlags(t, a) {
			if f&unix.O_NONBLOCK != 0 {
				t.Errorf("O_NONBLOCK is set on %s after the start of a service with NonBlocking=no, want it cleared", fd)
			}
		}
	})
}
