//go:build lab

package e2e

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/outputschema"
)

// TestAsPM2 types what somebody types who comes from PM2, and means the same here.
func TestAsPM2(t *testing.T) {
	m := machine(t, lab.Bookworm)
	a := app{m: m, name: "like-pm2", n: 2, url: "http://127.0.0.1:8214/"}
	t.Cleanup(func() { a.uninstall(t) })
	r := must(t, m, "-n", a.name, "start", goWorker, "-i2", "-l", "8214", "-k", "3000", "--listen-timeout", "20000", "--no-autorestart", "-s")
	if r.Stderr != "" {
		t.Errorf("not silent: %v", r)
	}
	a.wantUp(t)
	for _, want := range []string{"^stop-timeout: 3s$", "^start-timeout: 20s$", "^restart: \"?no\"?$"} {
		m.Sh(t, "grep -E '"+want+"' /etc/clusterctl/like-pm2.yaml")
	}
	before := a.pids(t)
	must(t, m, "restart", "like*@2", "--silent")
	after := a.pids(t)
	wantSame(t, before[:1], after[:1])
	wantRenewed(t, before[1:], after[1:])
	must(t, m, "gracefulReload", "/^like-/")
	wantRenewed(t, after, a.pids(t))
	must(t, m, "sendSignal", "CONT", a.name)
	must(t, m, "stop", "all")
	wantState(t, m, "inactive", a.instances()...)
	must(t, m, "start", a.name)
	a.wantUp(t)
	for _, command := range []string{"jlist", "prettylist"} {
		if err := outputschema.Check("ls", []byte(must(t, m, command).Stdout)); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	must(t, m, "desc", a.name)
	must(t, m, "delete", "like*", "-y")
	if r := run(t, m, "show", a.name); r.Code != failed {
		t.Errorf("it is there after a delete: %v", r)
	}
}
