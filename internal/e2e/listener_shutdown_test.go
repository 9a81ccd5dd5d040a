//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// shutListener is a program that shuts PID 1's copy of a listener down, as a worker without a notifier can.
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

// TestListenerThatWasShutDown: ls, show and --json report a listener that is bound but does not listen. reload, start and
// restart make it listen again. A Unix socket is opened again instead.
func TestListenerThatWasShutDown(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const port, path = 8331, "/run/silent.sock"
		// A native worker exits when its accept fails, so this worker does not call accept.
		m.WriteFile(t, "/opt/e2e/idle", "#!/bin/sh\nexec sleep 6000\n", 0o755)
		m.Must(t, "install", "silent", "-i", "1", "--listen", fmt.Sprint(port), "--listen", "local="+path,
			"--activation", "native", "--ready", "exec",
			"--drain-timeout", "1s", "--settle", "100ms", "--", "/opt/e2e/idle")
		t.Cleanup(func() { m.Must(t, "uninstall", "--yes", "silent") })
		healthy := func(when string) {
			t.Helper()
			if l := listApps(t, m, "silent")[0]; l.State != "running" || l.Problem != "" {
				t.Errorf("%s: %+v", when, l)
			}
		}
		shut := func(what string) {
			t.Helper()
			if out := m.Sh(t, "python3 -c '"+shutListener+"' "+what); !strings.Contains(out, "shut down") {
				t.Fatalf("%s is not shut down: %q", what, out)
			}
			l := listApps(t, m, "silent")[0]
			if l.State != "degraded" || !strings.Contains(l.Problem, what) || !strings.Contains(l.Problem, "clusterctl reload silent") {
				t.Errorf("ls with %s shut down: %+v", what, l)
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
					t.Errorf("show --json with %s shut down: %s is %q, want %q", what, at, state, want)
				}
			}
			if out := m.Must(t, "show", "silent").Stdout; !strings.Contains(out, "(not listening)") ||
				!strings.Contains(out, "clusterctl reload silent") {
				t.Errorf("show with %s shut down:\n%s", what, out)
			}
		}
		healthy("after the install")
		for _, command := range []string{"reload", "start", "restart"} {
			shut(fmt.Sprint(port))
			if r := m.Must(t, command, "silent"); !strings.Contains(r.Stderr, "listens again") {
				t.Errorf("%s: %v", command, r)
			}
			healthy("after " + command)
		}
		// Its workers make it listen again, without clusterctl.
		shut(fmt.Sprint(port))
		m.Sh(t, "systemctl restart silent@1")
		healthy("after systemctl restart")

		for _, command := range []string{"reload", "start", "restart"} {
			shut(path)
			if r := m.Must(t, command, "silent"); !strings.Contains(r.Stderr, "the socket is opened again") {
				t.Errorf("%s: %v", command, r)
			}
			healthy("after " + command)
			m.Sh(t, "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\""+path+"\")'")
		}
	})
}
