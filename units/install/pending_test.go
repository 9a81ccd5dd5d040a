//go:build linux

package install

import "testing"

// TestPendingFlags checks that Pending returns Scale and KeepLogs of the plan of the killed command.
func TestPendingFlags(t *testing.T) {
	for _, scale := range []bool{true, false} {
		s := storeAt(newRoot(t))
		apply(t, s, scaledApp(2))
		p := makePlan(t, s, scaledApp(4))
		p.Scale, p.KeepLogs = scale, !scale
		if _, err := s.Begin(p); err != nil {
			t.Fatal(err)
		}
		got, found, err := s.Pending(p.App)
		if err != nil || !found || got.Scale != scale || got.KeepLogs == scale {
			t.Errorf("got %+v, %v, error %v, want Scale %v and KeepLogs %v", got, found, err, scale, !scale)
		}
	}
}
