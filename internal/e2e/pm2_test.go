//go:build lab

package e2e

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/outputschema"
)

// TestCommandsOfPM2 runs commands and flags of PM2 that clusterctl accepts with the same meaning.
func TestCommandsOfPM2(t *testing.T) {
	m := suite().Shared(t, lab.Bookworm)
	a := kit.App{Machine: m, Name: "like-pm2", Instances: 2, Port: 8214}
	t.Cleanup(func() { a.Uninstall(t) })
	r := m.Must(t, "-n", a.Name, "start", goWorker, "-i2", "-l", "8214", "-k", "3000", "--listen-timeout", "20000",
		"--no-autorestart", "-s")
	if r.Stderr != "" {
		t.Errorf("start -s: want an empty stderr: %v", r)
	}
	a.WantUp(t)
	for _, want := range []string{"^stop-timeout: 3s$", "^start-timeout: 20s$", "^restart: \"?no\"?$"} {
		m.Sh(t, "grep -E '"+want+"' /etc/clusterctl/like-pm2.yaml")
	}
	before := a.PIDs(t)
	m.Must(t, "restart", "like*@2", "--silent")
	after := a.PIDs(t)
	kit.WantNotReplaced(t, before[:1], after[:1])
	kit.WantReplaced(t, before[1:], after[1:])
	m.Must(t, "gracefulReload", "/^like-/")
	kit.WantReplaced(t, after, a.PIDs(t))
	m.Must(t, "sendSignal", "CONT", a.Name)
	m.Must(t, "stop", "all")
	m.WantState(t, "inactive", a.Units()...)
	m.Must(t, "start", a.Name)
	a.WantUp(t)
	for _, command := range []string{"jlist", "prettylist"} {
		if err := outputschema.Check("ls", []byte(m.Must(t, command).Stdout)); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	m.Must(t, "desc", a.Name)
	m.Must(t, "delete", "like*", "-y")
	if r := m.Clusterctl(t, "show", a.Name); r.Code != failed {
		t.Errorf("clusterctl show after a delete: got exit status %d, want %d: %v", r.Code, failed, r)
	}
}
