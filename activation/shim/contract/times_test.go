package contract

import (
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation"
)

func TestDelays(t *testing.T) {
	want := []time.Duration{0, 0, 100, 150, 225}
	for n, w := range want {
		if got := Delay(n); got != w*time.Millisecond {
			t.Errorf("Delay(%d) = %v, want %v", n, got, w*time.Millisecond)
		}
	}
	for _, n := range []int{17, 50, 1 << 30} {
		if got := Delay(n); got != MaxDelay {
			t.Errorf("Delay(%d) = %v, want MaxDelay", n, got)
		}
	}
	for n := 2; n < 17; n++ {
		if Delay(n) >= MaxDelay || Delay(n+1) <= Delay(n) {
			t.Errorf("Delay(%d) = %v, want less than MaxDelay and less than Delay(%d) = %v", n, Delay(n), n+1, Delay(n+1))
		}
	}
}

// TestDrainTimeouts: a drain of package activation ends before systemd kills the
// worker.
func TestDrainTimeouts(t *testing.T) {
	if activation.DefaultDrainTimeout > DrainTimeout {
		t.Errorf("activation.DefaultDrainTimeout = %v, want at most DrainTimeout = %v", activation.DefaultDrainTimeout, DrainTimeout)
	}
}
