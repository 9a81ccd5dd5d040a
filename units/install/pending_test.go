//go:build linux

package install

import "testing"

// TestPendingFlags: Pending returns the flags Scale and KeepLogs of the killed command.
func TestPendingFlags(t *testing.T) {
	for _, scale := range []bool{true, false} {
		s := storeAt(newRoot(t))
		apply(t, s, scaled(2))
		p := planned(t, s, scaled(4))
		p.Scale, p.KeepLogs = scale, !scale
		if _, err := s.Begin(p); err != nil {
			t.Fatal(err)
		}
		got, found, err := s.Pending(p.App)
		if err != nil || !found || got.Scale != scale || got.KeepLogs == scale {
			t.Errorf("scale %v: %+v, %v, %v", scale, got, found, err)
		}
	}
}
