//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

const groupProgram = "/opt/e2e/group.py"

// TestMulticastSocketsAreNotShared installs a program that joins a multicast group. Each instance must open its own UDP
// socket, and must receive datagrams of the group, also after a reload, a restart and a kill.
func TestMulticastSocketsAreNotShared(t *testing.T) {
	t.Parallel()
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.CopyIn(t, "testdata/group.py", groupProgram)
		for _, n := range []int{1, 2} {
			port := fmt.Sprint(8394 + n)
			a := kit.Install(t, m, fmt.Sprintf("group%d", n), n, 0, fmt.Sprintf("group%d", n), "--settle", "200ms",
				"--", "python3", groupProgram, port, "/dev/null")
			if want := "probe: the program joins a multicast group on UDP port " + port +
				", so each instance opens this socket itself\n"; strings.Count(a.Output.Stderr, want) != 1 {
				t.Errorf("clusterctl install prints %q %d times, want once: %v",
					want, strings.Count(a.Output.Stderr, want), a.Output)
			}
			if got := m.Try("test -e /etc/systemd/system/" + a.Socket()); got.Code == 0 {
				t.Errorf("%s exists, want no socket unit", a.Socket())
			}
			wantGroup(t, a, port, "first")
			m.Must(t, "reload", a.Name)
			wantGroup(t, a, port, "reloaded")
			m.Must(t, "restart", a.Name)
			wantGroup(t, a, port, "restarted")
			b := kit.DialBus(t, m)
			for _, u := range a.Units() {
				pid := m.MainPID(t, u)
				m.Sh(t, fmt.Sprintf("kill -9 %d", pid))
				b.Await(t, u+" runs again", kit.RunsOther(pid), u)
			}
			wantGroup(t, a, port, "killed")
			a.Uninstall(t)
		}

		// If the program also listens on a TCP port, the instances must share only the TCP port.
		a := kit.Install(t, m, "groupweb", 2, 8398, "groupweb", "--settle", "200ms", "--", "python3", groupProgram,
			"8397", "/dev/null", "8398")
		if got := m.Sh(t, "systemctl cat "+a.Socket()+" | grep ^Listen"); got != "ListenStream=0.0.0.0:8398" {
			t.Errorf("the socket unit has %q, want only ListenStream=0.0.0.0:8398", got)
		}
		m.Must(t, "reload", a.Name)
		wantGroup(t, a, "8397", "reloaded")
		m.Get(t, a.URL("/"))

		// Without a probe, clusterctl must log that the program joins a group on a shared socket.
		shared := kit.Install(t, m, "groupshared", 1, 0, "groupshared", "--settle", "200ms", "--no-probe", "--listen", "udp:0.0.0.0:8400",
			"--", "python3", groupProgram, "8400", "/dev/null")
		m.AwaitJournal(t, "the program joins a multicast group on the shared socket udp4 0.0.0.0:8400; only the first worker can join",
			"-u", shared.Unit(1))
		shared.Uninstall(t)

		r := m.Clusterctl(t, "install", "groupudp", "--listen", "udp:8399", "--", "python3", groupProgram, "8399", "/dev/null")
		if r.Code == done ||
			!strings.Contains(r.Stderr, "the program joins a multicast group on UDP port 8399, which cannot be shared\n"+
				hint+"omit --listen udp:8399") {
			t.Errorf("install with --listen udp:8399: want an error that names the port and a hint: %v", r)
		}
	})
}

// wantGroup sends a datagram with the given text to the multicast group, and waits until every instance has logged the
// text.
func wantGroup(t testing.TB, a kit.App, port, text string) {
	t.Helper()
	for _, u := range a.Units() {
		a.Machine.AwaitJournal(t, "joined", "_PID="+fmt.Sprint(a.Machine.MainPID(t, u)))
	}
	a.Machine.Sh(t, fmt.Sprintf(`python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
s.sendto(b"%s", ("239.7.7.7", %s))'`, text, port))
	for _, u := range a.Units() {
		a.Machine.AwaitJournal(t, "got "+text, "_PID="+fmt.Sprint(a.Machine.MainPID(t, u)))
	}
}
