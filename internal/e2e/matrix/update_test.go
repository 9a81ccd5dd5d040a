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

// TestUpdate installs an unmodified Node server several times: with the same arguments, with another variable, with
// programs that fail, and with another port. clusterctl install must run a new probe only if the port of the program can
// have changed. This probe must succeed while the old instances still run.
func TestUpdate(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	m.WriteFile(t, srv+"/update.js", `
if (process.env.BROKEN === 'exit') { console.log('broken release'); process.exit(3); }
if (process.env.BROKEN === 'silent') { setInterval(() => {}, 1000); } else { require('./node.js'); }
`, 0o644)
	reinstall := func(port int, more ...string) []string {
		return slices.Concat([]string{"install", "-i", "2", "--settle", "100ms", "--name", "u-node",
			"--env", fmt.Sprintf("PORT=%d", port)}, more, []string{"update.js"})
	}
	a := install(t, m, "u-node", 2, 8420, portFlags(8420, "update.js")...)
	kit.WantOutput(t, a.Output, "probe: the program listens on")
	pids := a.PIDs(t)
	r := m.Must(t, reinstall(8420)...)
	kit.WantOutput(t, r, "nothing has changed")
	if strings.Contains(r.Stderr, "probe") || !slices.Equal(a.PIDs(t), pids) {
		t.Errorf("an install with the same arguments: want no probe and no new processes: %v", r)
	}
	requests := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: 200, KeepAlive: true, WorkerHeader: bodies})
	r = m.Must(t, reinstall(8420, "--env", "RELEASE=2")...)
	if now := a.PIDs(t); strings.Contains(r.Stderr, "probe") || now[0] == pids[0] || now[1] == pids[1] {
		t.Errorf("an install with another variable: want new processes and no probe: the PIDs were %v, and are %v: %v",
			pids, now, r)
	}
	pids = a.PIDs(t)
	for _, c := range []struct {
		broken, text string // the variable BROKEN, and a text that install must print
		flags        []string
	}{
		{"exit", "broken release", nil},
		// The timeout is short only in this case, because a working program may need longer on a busy machine.
		{"silent", "READY", []string{"--start-timeout", "5s"}},
	} {
		r := m.Clusterctl(t, reinstall(8420, append(c.flags, "--env", "BROKEN="+c.broken)...)...)
		if now := a.PIDs(t); r.Code != 3 || now[1] != pids[1] {
			t.Errorf("BROKEN=%s: want exit status 3 and the same process of instance 2: the PIDs were %v, and are %v: %v",
				c.broken, pids, now, r)
		}
		kit.WantOutput(t, r, "u-node@1", c.text, "putting everything back")
	}
	kit.WantNoneLost(t, "updates", requests.Stop())
	a.WantActive(t)
	kit.WantOutput(t, m.Must(t, reinstall(8421, slowProbe...)...), "probe: the program listens on", "closed for a moment")
	a.Port = 8421
	wantAllAnswer(t, a, "/hello", hello)
}
