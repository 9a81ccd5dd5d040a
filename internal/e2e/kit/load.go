package kit

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// Loads holds two loads that run at the same time. The first load opens a new connection for each request. The second
// load keeps its connections open.
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

// WantNoneLost stops the loads, and fails the test if a request failed, or if no request of a load was answered. The
// parameter event describes what happened while the loads ran.
func (l Loads) WantNoneLost(t testing.TB, event string) {
	t.Helper()
	for i, kind := range []string{"new connections", "keep-alive connections"} {
		WantNoneLost(t, event+", "+kind, l[i].Stop())
	}
}

// WantNoneLost fails the test if a request failed, or if no request was answered. The parameter event describes what
// happened while the load ran.
func WantNoneLost(t testing.TB, event string, r load.Report) {
	t.Helper()
	t.Logf("%s: %s", event, r.Summary())
	if r.Failed() > 0 || r.OK == 0 {
		t.Errorf("%s: %d requests failed and %d were answered, want 0 and at least 1: %v", event, r.Failed(), r.OK, r)
	}
}
