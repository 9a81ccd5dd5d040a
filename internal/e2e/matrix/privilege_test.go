//go:build lab

package matrix

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestChildOfAnotherUserKeepsItsCapabilities runs a server as root. The server starts a child process as an unprivileged
// user. The child process tries to bind the port of the server. The call must fail with EADDRINUSE, as without the shim,
// and no request may reach the child process.
func TestChildOfAnotherUserKeepsItsCapabilities(t *testing.T) {
	t.Parallel()
	m := suite().Shared(t, lab.Workers)
	a := install(t, m, "p-master", 1, 8741, portFlags(8741, "--run-as", "root", "--sandbox", "off", "master.py")...)
	r := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 4, Requests: 50, WorkerHeader: bodies}).Wait()
	if r.Failed() > 0 || len(r.Workers) != 1 || r.Workers["EADDRINUSE"] != r.OK {
		t.Errorf("got the responses %v, want only EADDRINUSE, the result of bind in the child process: %v", r.Workers, r)
	}
	m.AwaitJournal(t, "of user 65534 binds 0.0.0.0:8741, which belongs to user 0", "-u", a.Unit(1))
}

// capSysPtrace is a capability set in /proc/PID/status that contains only CAP_SYS_PTRACE.
const capSysPtrace = "0000000000080000"

// TestOwnPtraceGivesTheProgramNothing installs an app with --own-ptrace, with and without a user namespace. The shim
// must have CAP_SYS_PTRACE, and the program must not have it. If a drop-in gives the capability to a unit without
// --own-ptrace, the shim must not start the program.
func TestOwnPtraceGivesTheProgramNothing(t *testing.T) {
	for i, release := range []lab.Release{lab.Bullseye, lab.Bookworm, lab.Trixie, lab.Sid} {
		t.Run(fmt.Sprint(release), func(t *testing.T) {
			t.Parallel()
			m := suite().Shared(t, release)
			name, p := fmt.Sprintf("p-own-%d", i), 8742+i
			dir := "/etc/systemd/system/" + name + "@.service.d"
			t.Cleanup(func() { m.Sh(t, "rm -rf "+dir+" && systemctl daemon-reload") })
			for _, private := range []string{"no", "yes"} {
				m.WriteFile(t, dir+"/50-admin.conf", "[Service]\nPrivateUsers="+private+"\n", 0o644)
				m.Sh(t, "systemctl daemon-reload")
				a := install(t, m, name, 1, p, portFlags(p, "--own-ptrace", "./httpd")...)
				wantCapabilities(t, m, m.MainPID(t, a.Unit(1)), strings.Repeat("0", 16))
				wantCapabilities(t, m, shimPID(t, a, 1), capSysPtrace)
				wantAllAnswer(t, a, "/hello", hello)
				a.Uninstall(t)
			}
			m.WriteFile(t, dir+"/50-admin.conf",
				"[Service]\nCapabilityBoundingSet=CAP_SYS_PTRACE\nAmbientCapabilities=CAP_SYS_PTRACE\n", 0o644)
			m.Sh(t, "systemctl daemon-reload")
			r := m.Clusterctl(t, append([]string{"install", "-i", "1", "--name", name, "--listen", strconv.Itoa(p), "--no-probe"},
				portFlags(p, "./httpd")...)...)
			if r.Code == 0 {
				t.Errorf("install of a unit with CAP_SYS_PTRACE and without --own-ptrace succeeded, want an error: %v", r)
			}
			m.AwaitJournal(t, "--own-ptrace", "-u", name+"@1.service")
		})
	}
}

// wantCapabilities fails the test unless the effective, permitted, inheritable and ambient capability sets of a process
// are all equal to want.
func wantCapabilities(t testing.TB, m *kit.Machine, pid int, want string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("%s/proc/%d/status", m.Root(), pid))
	if err != nil {
		t.Error(err)
		return
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if !strings.Contains(string(b), set+":\t"+want+"\n") {
			t.Errorf("process %d: want %s of %s:\n%s", pid, set, want, b)
		}
	}
}
