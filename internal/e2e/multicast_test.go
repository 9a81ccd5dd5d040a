//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
)

const groupProgram = "/opt/e2e/group.py"

// TestMulticast: a program that joins a multicast group has a UDP socket of its own in each instance, and joins again after a
// reload, a restart and a crash. On the shared socket, the membership of the last worker would still be there.
func TestMulticast(t *testing.T) {
	onAllTogether(t, func(t *testing.T, m *lab.Machine) {
		m.CopyIn(t, "testdata/group.py", groupProgram)
		for _, n := range []int{1, 2} {
			a := app{m: m, name: fmt.Sprintf("group%d", n), n: n}
			t.Cleanup(func() { a.uninstall(t) })
			port := fmt.Sprint(8394 + n)
			r := must(t, m, "install", a.name, "-i", fmt.Sprint(n), "--settle", "200ms", "--", "python3", groupProgram, port, "/dev/null")
			if want := "probe: it joins a multicast group on UDP port " + port + ", so each instance opens this socket itself\n"; strings.Count(r.Stderr, want) != 1 {
				t.Errorf("%v", r)
			}
			if got := m.Try("test -e /etc/systemd/system/" + a.socket()); got.Code == 0 {
				t.Error("there is a socket unit")
			}
			a.wantGroup(t, port, "first")
			must(t, m, "reload", a.name)
			a.wantGroup(t, port, "reloaded")
			must(t, m, "restart", a.name)
			a.wantGroup(t, port, "restarted")
			b := dialBus(t, m)
			for _, u := range a.instances() {
				pid := m.MainPID(t, u)
				m.Sh(t, fmt.Sprintf("kill -9 %d", pid))
				b.await(t, u+" is back", func(s status) bool { return s.active == "active" && s.pid != uint32(pid) && s.pid != 0 }, u)
			}
			a.wantGroup(t, port, "killed")
			a.uninstall(t)
		}

		// With a TCP port beside it, that one alone is shared.
		a := app{m: m, name: "groupweb", n: 2, url: "http://127.0.0.1:8398/"}
		t.Cleanup(func() { a.uninstall(t) })
		must(t, m, "install", a.name, "-i", "2", "--settle", "200ms", "--", "python3", groupProgram, "8397", "/dev/null", "8398")
		if got := m.Sh(t, "systemctl cat "+a.socket()+" | grep ^Listen"); got != "ListenStream=0.0.0.0:8398" {
			t.Errorf("%q", got)
		}
		must(t, m, "reload", a.name)
		a.wantGroup(t, "8397", "reloaded")
		m.Sh(t, "curl -fsS -m 20 "+a.url)

		// Without a probe, the log of the workers has the reason.
		shared := app{m: m, name: "groupshared", n: 1}
		t.Cleanup(func() { shared.uninstall(t) })
		must(t, m, "install", shared.name, "-i", "1", "--settle", "200ms", "--no-probe", "--listen", "udp:0.0.0.0:8400", "--", "python3", groupProgram, "8400", "/dev/null")
		m.AwaitJournal(t, "the program joins a multicast group on the shared socket udp4 0.0.0.0:8400; only the first worker can", "-u", shared.instance(1))
		shared.uninstall(t)

		r := run(t, m, "install", "groupudp", "--listen", "udp:8399", "--", "python3", groupProgram, "8399", "/dev/null")
		if r.Code == done || !strings.Contains(r.Stderr, "the program joins a multicast group on UDP port 8399, which cannot be shared\n"+hint+"omit --listen udp:8399") {
			t.Errorf("%v", r)
		}
	})
}

// wantGroup sends a datagram to the group, and waits until every instance has it.
func (a app) wantGroup(t testing.TB, port, text string) {
	t.Helper()
	for _, u := range a.instances() {
		a.m.AwaitJournal(t, "joined", "_PID="+fmt.Sprint(a.m.MainPID(t, u)))
	}
	a.m.Sh(t, fmt.Sprintf(`python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
s.sendto(b"%s", ("239.7.7.7", %s))'`, text, port))
	for _, u := range a.instances() {
		a.m.AwaitJournal(t, "got "+text, "_PID="+fmt.Sprint(a.m.MainPID(t, u)))
	}
}
