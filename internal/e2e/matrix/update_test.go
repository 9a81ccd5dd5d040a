//go:build lab

package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestUpdate installs an unmodified Node server several times: unchanged, with another variable, with releases that do not
// come up, and with another port. While its port cannot have changed, the program is not probed again. When the port may
// have changed, the program is probed while the old release still has its port.
func TestUpdate(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	m.WriteFile(t, srv+"/update.js", `
if (process.env.BROKEN === 'exit') { console.log('broken release'); process.exit(3); }
if (process.env.BROKEN === 'silent') { setInterval(() => {}, 1000); } else { require('./node.js'); }
`, 0o644)
	again := func(port int, more ...string) []string {
		return slices.Concat([]string{"install", "-i", "2", "--settle", "100ms", "--name", "u-node",
			"--env", fmt.Sprintf("PORT=%d", port)}, more, []string{"update.js"})
	}
	a := install(t, m, "u-node", 2, 8420, portFlags(8420, "update.js")...)
	kit.WantOutput(t, a.Output, "probe: the program listens on")
	pids := a.PIDs(t)
	r := m.Must(t, again(8420)...)
	kit.WantOutput(t, r, "nothing has changed")
	if strings.Contains(r.Stderr, "probe") || !slices.Equal(a.PIDs(t), pids) {
		t.Errorf("an unchanged install is not a no-op: %v", r)
	}
	requests := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: 200, KeepAlive: true, WorkerHeader: bodies})
	r = m.Must(t, again(8420, "--env", "RELEASE=2")...)
	if now := a.PIDs(t); strings.Contains(r.Stderr, "probe") || now[0] == pids[0] || now[1] == pids[1] {
		t.Errorf("an install with another variable: %v, PIDs %v, then %v", r, pids, now)
	}
	pids = a.PIDs(t)
	for _, c := range []struct {
		how, said string
		flags     []string
	}{
		{"exit", "broken release", nil},
		// The timeout is short only in this case, because on a busy machine a good release may need longer.
		{"silent", "READY", []string{"--start-timeout", "5s"}},
	} {
		r := m.Clusterctl(t, again(8420, append(c.flags, "--env", "BROKEN="+c.how)...)...)
		if now := a.PIDs(t); r.Code != 3 || now[1] != pids[1] {
			t.Errorf("a release that does not come up (%s): %v, PIDs %v, then %v", c.how, r, pids, now)
		}
		kit.WantOutput(t, r, "u-node@1", c.said, "putting everything back")
	}
	kit.WantNoneLost(t, "updates", requests.Stop())
	a.WantActive(t)
	kit.WantOutput(t, m.Must(t, again(8421, slowProbe...)...), "probe: the program listens on", "closed for a moment")
	a.Port = 8421
	wantAllAnswer(t, a, "/hello", hello)
}
