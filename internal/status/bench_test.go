package status

import (
	"fmt"
	"testing"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// BenchmarkSummarise measures what "ls" does with the states from systemd.
func BenchmarkSummarise(b *testing.B) {
	for _, n := range []int{10, 100, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := units.App{Name: "web", Listen: []units.Listener{{Port: 8080}}}
			states := []control.State{stateIn(control.ActiveRunning), stateIn(control.ActiveRunning)}
			for i := range n {
				if i%50 == 49 {
					states = append(states, restartingState(1))
				} else {
					states = append(states, up(1000+i, 50, 0))
				}
			}
			for i, unit := range Units(a, n) {
				states[i].Unit = unit
			}
			b.ReportAllocs()
			for b.Loop() {
				if s := Summarise(a, states, Facts{}); s.Wanted != n {
					b.Fatalf("got %d instances, want %d", s.Wanted, n)
				}
			}
		})
	}
}
