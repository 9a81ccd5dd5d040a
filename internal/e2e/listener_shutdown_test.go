//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// shutListener is a Python program that calls shutdown(2) on a listener, through the file descriptor of PID 1. A native
// worker can make this call through its own file descriptor.
const shutListener = `
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
pidfd = libc.syscall(434, 1, 0)
for fd in os.listdir("/proc/1/fd"):
    got = libc.syscall(438, pidfd, int(fd), 0)
    if got < 0:
        continue
    try:
        s = socket.socket(fileno=got)
        name = s.getsockname()
    except OSError:
        continue
    is_named = name == sys.argv[1] or isinstance(name, tuple) and str(name[1]) == sys.argv[1]
    if s.type == socket.SOCK_STREAM and is_named and s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        s.shutdown(socket.SHUT_RDWR)
        print("shut down")
`

// TestListenerThatWasShutDown calls shutdown(2) on the listeners of an app. clusterctl ls and show must then report that
// the listener does not listen. clusterctl reload, start and restart must repair the listener: a TCP listener must listen
// again, and a Unix socket must be closed and opened again.
func TestListenerThatWasShutDown(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const port, path = 8331, "/run/silent.sock"
		// This worker does not call accept, because accept would fail after the shutdown, and the worker would exit.
		m.WriteFile(t, "/opt/e2e/idle", "#!/bin/sh\nexec sleep 6000\n", 0o755)
		m.Must(t, "install", "silent", "-i", "1", "--listen", fmt.Sprint(port), "--listen", "local="+path,
			"--activation", "native", "--ready", "exec",
			"--drain-timeout", "1s", "--settle", "100ms", "--", "/opt/e2e/idle")
		t.Cleanup(func() { m.Must(t, "uninstall", "--yes", "silent") })
		healthy := func(when string) {
			t.Helper()
			if l := listApps(t, m, "silent")[0]; l.State != "running" || l.Problem != "" {
				t.Errorf("%s: want the state running without a problem: %+v", when, l)
			}
		}
		shut := func(what string) {
			t.Helper()
			if out := m.Sh(t, "python3 -c '"+shutListener+"' "+what); !strings.Contains(out, "shut down") {
				t.Fatalf("the listener on %s was not found or not shut down: %q", what, out)
			}
			l := listApps(t, m, "silent")[0]
			if l.State != "degraded" || !strings.Contains(l.Problem, what) || !strings.Contains(l.Problem, "clusterctl reload silent") {
				t.Errorf("clusterctl ls after the shutdown of %s: want the state degraded and the problem: %+v", what, l)
			}
			states := map[string]string{}
			for _, one := range parseApp(t, m.Must(t, "show", "silent", "--json").Stdout).Listeners {
				states[one.Listen] = one.State
			}
			for at, state := range states {
				want := "listening"
				if strings.HasSuffix(at, what) {
					want = "not listening"
				}
				if state != want {
					t.Errorf("clusterctl show --json after the shutdown of %s: the state of %s is %q, want %q", what, at, state, want)
				}
			}
			if out := m.Must(t, "show", "silent").Stdout; !strings.Contains(out, "(not listening)") ||
				!strings.Contains(out, "clusterctl reload silent") {
				t.Errorf("clusterctl show after the shutdown of %s does not report the listener:\n%s", what, out)
			}
		}
		healthy("after the install")
		for _, command := range []string{"reload", "start", "restart"} {
			shut(fmt.Sprint(port))
			if r := m.Must(t, command, "silent"); !strings.Contains(r.Stderr, "listens again") {
				t.Errorf("%s does not report that it has repaired the listener: %v", command, r)
			}
			healthy("after " + command)
		}
		// The start of a worker makes the listener listen again, also without clusterctl.
		shut(fmt.Sprint(port))
		m.Sh(t, "systemctl restart silent@1")
		healthy("after systemctl restart")

		for _, command := range []string{"reload", "start", "restart"} {
			shut(path)
			if r := m.Must(t, command, "silent"); !strings.Contains(r.Stderr, "the socket is opened again") {
				t.Errorf("%s does not report that it has repaired the listener: %v", command, r)
			}
			healthy("after " + command)
			m.Sh(t, "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\""+path+"\")'")
		}
	})
}
