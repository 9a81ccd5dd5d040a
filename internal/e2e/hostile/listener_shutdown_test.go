//go:build lab

package hostile

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
)

// TestWorkerCannotCloseTheListener has a worker try to close the shared listener for all workers, in every way that exists.
// An attempt either fails, or a restart of the worker undoes it. With an adopted worker it is undone at once.
func TestWorkerCannotCloseTheListener(t *testing.T) {
	onEach(t, func(t *testing.T, m *kit.Machine, k kind) {
		native := k.name == "native"
		for _, way := range []string{"shutdown", "race", "disconnect", "filter", "listen"} {
			if native && way == "filter" {
				continue // see the limits in docs/SECURITY.md
			}
			got := strings.TrimSpace(k.ask(t, m, "silence", url.Values{"way": {way}}))
			if way == "filter" && got == "ok" {
				t.Error("the worker can set a packet filter on the listener")
			}
			if native {
				m.Sh(t, "systemctl restart "+k.name+"@1")
			}
			if r := m.Try("curl -fsS --max-time 60 --retry 5 --retry-connrefused " + k.url("")); r.Code != 0 {
				t.Errorf("%s: a request fails: %v", way, r)
			}
			if backlog := k.backlog(m); !native && backlog != "4096" {
				t.Errorf("%s: the backlog of the listener is %q", way, backlog)
			}
		}
		if !native && strings.Contains(m.Journal(t, "-u", k.name+"@1.service"), "clusterctl-shim: poll") {
			t.Error("the notifier has given up")
		}
	})
}

// backlog returns the backlog of the listener: the number of connections that its queue holds.
func (k kind) backlog(m *kit.Machine) string {
	return strings.TrimSpace(m.Try(fmt.Sprintf("ss -Hltn 'sport = :%d' | awk '{print $3}'", k.port)).Stdout)
}
