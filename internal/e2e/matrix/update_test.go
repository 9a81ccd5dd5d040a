//go:build lab

package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestUpdate installs an unmodified Node server again and again: as it is, with another variable, with releases that do not
// come up, and on another port. Where it listens is known, so it is not run once more to find out; but where that may have
// changed, it is, beside the app that has the port.
func TestUpdate(t *testing.T) {
	m := workers(t)
	m.WriteFile(t, srv+"/update.js", `
if (process.env.BROKEN === 'exit') { console.log('broken release'); process.exit(3); }
if (process.env.BROKEN === 'silent') { setInterval(() => {}, 1000); } else { require('./node.js'); }
`, 0o644)
	again := func(port int, more ...string) []string {
		return slices.Concat([]string{"install", "-i", "2", "--settle", "100ms", "--name", "u-node", "--env", fmt.Sprintf("PORT=%d", port)}, more, []string{"update.js"})
	}
	a := install(t, m, "u-node", 2, 8420, port(8420, "update.js")...)
	wantSaid(t, a.said, "probe: it listens on")
	pids := a.pids(t)
	r := must(t, m, again(8420)...)
	wantSaid(t, r, "nothing has changed")
	if strings.Contains(r.Stderr, "probe") || !slices.Equal(a.pids(t), pids) {
		t.Errorf("the same again is not left alone: %v", r)
	}
	requests := load.Start(t, m, load.Options{URL: a.url("/hello"), Conns: 4, Rate: 200, KeepAlive: true, WorkerHeader: bodies})
	r = must(t, m, again(8420, "--env", "RELEASE=2")...)
	if now := a.pids(t); strings.Contains(r.Stderr, "probe") || now[0] == pids[0] || now[1] == pids[1] {
		t.Errorf("another variable: %v, %v, then %v", r, pids, now)
	}
	pids = a.pids(t)
	for _, c := range []struct {
		how, said string
		flags     []string
	}{
		{"exit", "broken release", nil},
		// Only here is the time short: on a busy machine a good release may need longer.
		{"silent", "READY", []string{"--start-timeout", "5s"}},
	} {
		r := run(t, m, again(8420, append(c.flags, "--env", "BROKEN="+c.how)...)...)
		if now := a.pids(t); r.Code != 3 || now[1] != pids[1] {
			t.Errorf("a release that does not come up (%s): %v, %v, then %v", c.how, r, pids, now)
		}
		wantSaid(t, r, "u-node@1", c.said, "putting everything back")
	}
	if r := requests.Stop(); r.Failed() > 0 || r.OK == 0 {
		t.Errorf("requests failed: %v", r)
	}
	a.wantUp(t)
	wantSaid(t, must(t, m, again(8421, patient...)...), "probe: it listens on", "closed for a moment")
	a.port = 8421
	a.everyOne(t, "/hello", hello)
}
