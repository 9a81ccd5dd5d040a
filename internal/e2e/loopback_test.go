//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestLoopbackAddressIsKept installs a program that listens on 127.0.0.1 with different values of --listen. A value that
// is only a port must keep the socket on 127.0.0.1. clusterctl install must print the address of the socket.
func TestLoopbackAddressIsKept(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/loopback.py"
		m.CopyIn(t, "testdata/loopback.py", program)
		a := kit.App{Machine: m, Name: "loop", Instances: 1}
		t.Cleanup(func() { a.Uninstall(t) })
		for _, c := range []struct{ listen, socket, out, err string }{
			{"8098", "127.0.0.1:8098", "listening on http://127.0.0.1:8098/\n", "to open it to other machines: --listen 0.0.0.0:8098\n"},
			{"0.0.0.0:8098", "0.0.0.0:8098", "listening on port 8098 of all IPv4 addresses, http://127.0.0.1:8098/\n", ""},
			{"8099:8098", "0.0.0.0:8099", "listening on port 8099 of all IPv4 addresses, http://127.0.0.1:8099/\n",
				"--listen 8099:8098 opens port 8099 to other machines\n"},
			{"127.0.0.1:8099:8098", "127.0.0.1:8099", "listening on http://127.0.0.1:8099/\n", ""},
			{"8098", "127.0.0.1:8098", "listening on http://127.0.0.1:8098/\n", "to open it to other machines: --listen 0.0.0.0:8098\n"},
		} {
			r := m.Must(t, "install", "--yes", a.Name, "-i", "1", "--listen", c.listen, "--settle", "100ms",
				"--", "python3", program, "127.0.0.1", "8098")
			if !strings.Contains(r.Stdout, c.out) || !strings.Contains(r.Stderr, c.err) {
				t.Errorf("--listen %s: want %q on stdout and %q on stderr: %v", c.listen, c.out, c.err, r)
			}
			if got := listeningOn(t, m, ":809"); !slices.Equal(got, []string{c.socket}) {
				t.Errorf("--listen %s: got listeners on %q, want only %s", c.listen, got, c.socket)
			}
			if r := m.Try("curl -fsS -m 20 http://127.0.0.1:" + c.socket[strings.LastIndexByte(c.socket, ':')+1:]); r.Stdout != "ok\n" {
				t.Errorf("--listen %s: the program does not answer requests to %s: %v", c.listen, c.socket, r)
			}
		}
		a.Uninstall(t)

		// Without a probe, --listen without an address opens the port on all addresses, and clusterctl install must
		// print this.
		r := m.Must(t, "install", a.Name, "-i", "1", "--listen", "8098", "--activation", "native", "--settle", "100ms", "--", worker)
		if want := "listening on port 8098 of all addresses, http://127.0.0.1:8098/\n"; !strings.Contains(r.Stdout, want) {
			t.Errorf("%q is missing in the output: %v", want, r)
		}
		m.WriteFile(t, "/opt/e2e/loop.yaml", "name: loop\ncommand: ["+worker+
			"]\nactivation: native\nready: notify\ninstances: 1\nlisten: [8097]\n", 0o644)
		r = m.Must(t, "apply", "-f", "/opt/e2e/loop.yaml")
		if want := "loop: listening on port 8097 of all addresses, http://127.0.0.1:8097/\n"; !strings.Contains(r.Stderr, want) {
			t.Errorf("%q is missing in the output: %v", want, r)
		}
		if got := listeningOn(t, m, ":809"); !slices.Equal(got, []string{"*:8097"}) {
			t.Errorf("got listeners on %q, want only *:8097", got)
		}
	})
}

// listeningOn returns the local addresses of all TCP listeners whose address contains the text.
func listeningOn(t testing.TB, m *kit.Machine, text string) []string {
	t.Helper()
	var all []string
	for _, line := range kit.Lines(m.Sh(t, "ss -Hltn")) {
		if f := strings.Fields(line); len(f) > 3 && strings.Contains(f[3], text) {
			all = append(all, f[3])
		}
	}
	return all
}
