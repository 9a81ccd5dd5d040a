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
			t.Errorf("Delay(%d) = %v, want a longer delay than before", n, Delay(n))
		}
	}
}

// TestDrainTimeouts: a Go worker that drains itself ends before systemd kills it.
func TestDrainTimeouts(t *testing.T) {
	if activation.DefaultDrainTimeout > DrainTimeout {
		t.Errorf("package activation drains for %v, clusterctl lets a worker drain for %v", activation.DefaultDrainTimeout, DrainTimeout)
	}
}
