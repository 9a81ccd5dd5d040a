//go:build lab

package hostile

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
)

// TestWorkerCannotCloseTheListener lets a worker try to close the shared listener for all workers, with every known
// system call. Adopted workers must answer requests after each attempt. Native workers must answer requests after a
// restart.
func TestWorkerCannotCloseTheListener(t *testing.T) {
	onEach(t, func(t *testing.T, m *kit.Machine, k kind) {
		native := k.name == "native"
		for _, way := range []string{"shutdown", "race", "disconnect", "filter", "listen"} {
			if native && way == "filter" {
				continue // a native worker can set a filter (docs/SECURITY.md)
			}
			got := strings.TrimSpace(k.get(t, m, "silence", url.Values{"way": {way}}))
			if way == "filter" && got == "ok" {
				t.Error("the worker can set a packet filter on the listener")
			}
			if native {
				m.Sh(t, "systemctl restart "+k.name+"@1")
			}
			if r := m.Try("curl -fsS --max-time 60 --retry 5 --retry-connrefused " + k.url("")); r.Code != 0 {
				t.Errorf("a request failed after the attempt %q: %v", way, r)
			}
			if backlog := k.backlog(m); !native && backlog != "4096" {
				t.Errorf("the backlog of the listener after the attempt %q is %q, want 4096", way, backlog)
			}
		}
		if !native && strings.Contains(m.Journal(t, "-u", k.name+"@1.service"), "clusterctl-shim: poll") {
			t.Error("the shim has logged a failed poll(2), so it no longer intercepts system calls")
		}
	})
}

// The method backlog returns the maximum length of the queue of the listener.
func (k kind) backlog(m *kit.Machine) string {
	return strings.TrimSpace(m.Try(fmt.Sprintf("ss -Hltn 'sport = :%d' | awk '{print $3}'", k.port)).Stdout)
}
