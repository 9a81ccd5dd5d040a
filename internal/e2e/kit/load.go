package kit

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// Loads are two loads that run at the same time. The first opens a new connection for each request. The second keeps its
// connections open.
type Loads [2]*load.Run

// StartLoads starts both loads.
func StartLoads(t testing.TB, m load.Machine, o load.Options) (l Loads) {
	t.Helper()
	for i := range l {
		o.KeepAlive = i == 1
		l[i] = load.Start(t, m, o)
	}
	return l
}

// WantNoneLost stops the loads, and fails the test if a request of a load failed or no request of a load was answered.
// what names the event during which the loads ran.
func (l Loads) WantNoneLost(t testing.TB, what string) {
	t.Helper()
	for i, kind := range []string{"new connections", "kept connections"} {
		WantNoneLost(t, what+", "+kind, l[i].Stop())
	}
}

// WantNoneLost fails the test if a request failed or no request was answered. what names the event during which the load
// ran.
func WantNoneLost(t testing.TB, what string, r load.Report) {
	t.Helper()
	t.Logf("%s: %s", what, r.Summary())
	if r.Failed() > 0 || r.OK == 0 {
		t.Errorf("%s: requests were lost: %v", what, r)
	}
}
