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

// TestChildOfAnotherUserKeepsItsCapabilities: a master that runs as root, and gives a child to another user to protect
// itself from that child, keeps this protection. The child's bind fails as it does without the shim, and no request reaches
// the child.
func TestChildOfAnotherUserKeepsItsCapabilities(t *testing.T) {
	t.Parallel()
	m := suite().Shared(t, lab.Workers)
	a := install(t, m, "p-master", 1, 8741, portFlags(8741, "--run-as", "root", "--sandbox", "off", "master.py")...)
	r := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 4, Requests: 50, WorkerHeader: bodies}).Wait()
	if r.Failed() > 0 || len(r.Workers) != 1 || r.Workers["EADDRINUSE"] != r.OK {
		t.Errorf("%v: the answers are %v, want answers of the master with EADDRINUSE from the child", r, r.Workers)
	}
	m.AwaitJournal(t, "of user 65534 binds 0.0.0.0:8741, which belongs to user 0", "-u", a.Unit(1))
}

// ptrace is CAP_SYS_PTRACE as a capability set in /proc/PID/status.
const ptrace = "0000000000080000"

// TestOwnPtraceGivesTheProgramNothing: with --own-ptrace the shim has the capability and the program does not, even in a
// user namespace. If a unit has the directive without the flag, the shim does not start the program.
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
				wantCapabilities(t, m, notifier(t, a, 1), ptrace)
				wantAllAnswer(t, a, "/hello", hello)
				a.Uninstall(t)
			}
			m.WriteFile(t, dir+"/50-admin.conf",
				"[Service]\nCapabilityBoundingSet=CAP_SYS_PTRACE\nAmbientCapabilities=CAP_SYS_PTRACE\n", 0o644)
			m.Sh(t, "systemctl daemon-reload")
			r := m.Clusterctl(t, append([]string{"install", "-i", "1", "--name", name, "--listen", strconv.Itoa(p), "--no-probe"},
				portFlags(p, "./httpd")...)...)
			if r.Code == 0 {
				t.Error("a program was started with the capability")
			}
			m.AwaitJournal(t, "--own-ptrace", "-u", name+"@1.service")
		})
	}
}

// wantCapabilities fails the test unless all effective, permitted, inheritable and ambient capabilities of a process are
// want.
func wantCapabilities(t testing.TB, m *kit.Machine, pid int, want string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("%s/proc/%d/status", m.Root(), pid))
	if err != nil {
		t.Error(err)
		return
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if !strings.Contains(string(b), set+":\t"+want+"\n") {
			t.Errorf("process %d: %s is not %s:\n%s", pid, set, want, b)
		}
	}
}
