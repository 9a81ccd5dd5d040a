package kit

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// Loads are two loads at the same time: requests on new connections, and requests on kept connections.
type Loads [2]*load.Run

// StartLoads begins to send requests of both kinds.
func StartLoads(t testing.TB, m load.Machine, o load.Options) (l Loads) {
	t.Helper()
	for i := range l {
		o.KeepAlive = i == 1
		l[i] = load.Start(t, m, o)
	}
	return l
}

// WantNoneLost ends the loads, and fails the test when a request has failed or none was answered.
func (l Loads) WantNoneLost(t testing.TB, what string) {
	t.Helper()
	for i, kind := range []string{"new connections", "kept connections"} {
		WantNoneLost(t, what+", "+kind, l[i].Stop())
	}
}

// WantNoneLost fails the test when a request has failed or none was answered.
func WantNoneLost(t testing.TB, what string, r load.Report) {
	t.Helper()
	t.Logf("%s: %s", what, r.Summary())
	if r.Failed() > 0 || r.OK == 0 {
		t.Errorf("%s: requests were lost: %v", what, r)
	}
}
