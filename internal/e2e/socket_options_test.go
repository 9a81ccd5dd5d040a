//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

const optionsProgram = "/opt/e2e/options.py"

// TestSocketOptionsOfTheProgram installs an unmodified program that sets socket options before and after bind. The
// listener and the accepted connections must have these options.
func TestSocketOptionsOfTheProgram(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.CopyIn(t, "testdata/options.py", optionsProgram)
		a := kit.App{Machine: m, Name: "options", Instances: 2, Port: 8391}
		t.Cleanup(func() { a.Uninstall(t) })
		const before = "TCP_NODELAY=1,SO_KEEPALIVE=1,TCP_KEEPIDLE=33,TCP_USER_TIMEOUT=12345,SO_RCVBUF=30000," +
			"TCP_DEFER_ACCEPT=1,TCP_FASTOPEN=17"
		r := m.Must(t, "install", a.Name, "-i", "2", "--settle", "200ms", "--", "python3", optionsProgram, "8391", before, "IP_TOS=16")
		// The reload replaces the workers, but not the listener.
		m.Must(t, "reload", a.Name)
		got := m.Get(t, a.URL("/"))
		for _, want := range []string{"TCP_NODELAY=1/1", "SO_KEEPALIVE=1/1", "TCP_KEEPIDLE=33/33",
			"TCP_USER_TIMEOUT=12345/12345", "SO_RCVBUF=60000/60000", "TCP_DEFER_ACCEPT=", "TCP_FASTOPEN=", "IP_TOS=16/16"} {
			if !strings.Contains(got, want) {
				t.Errorf("the response of the program does not contain %s: %s", want, got)
			}
		}
		for _, want := range []string{"TCP_DEFER_ACCEPT=1/1", "TCP_FASTOPEN=17/17"} {
			if name, value, _ := strings.Cut(want, "="); !strings.Contains(got, name+"=") ||
				!strings.Contains(got, value[strings.IndexByte(value, '/'):]) {
				t.Errorf("the listener does not have %s: %s", want, got)
			}
		}
		if strings.Contains(r.Stderr, "socket options") {
			t.Errorf("clusterctl install prints a note on socket options, want none: %v", r)
		}
	})
}

// TestNoDelayByDefault installs a program that does not set socket options. TCP_NODELAY must be set on the connections
// of the program. Without TCP_NODELAY, Nagle's algorithm would delay responses on keep-alive connections by 40 ms.
func TestNoDelayByDefault(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.CopyIn(t, "testdata/options.py", optionsProgram)
		a := kit.Install(t, m, "nodelay", 1, 8392, "nodelay", "--settle", "200ms", "--", "python3", optionsProgram, "8392", "", "")
		if got := m.Get(t, a.URL("/")); !strings.Contains(got, "TCP_NODELAY=1/1") ||
			!strings.Contains(got, "SO_KEEPALIVE=0/0") {
			t.Errorf("got the options %s, want TCP_NODELAY=1/1 and SO_KEEPALIVE=0/0", got)
		}
	})
}
